# SPDX-License-Identifier: Apache-2.0
"""Platform configuration registers: read, extend, and which banks there are."""

from __future__ import annotations

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_CAP,
    TPML_DIGEST_VALUES,
    TPML_PCR_SELECTION,
    TPMT_HA,
    TPMU_HA,
)

from e2etrust_core.errors import InputError
from e2etrust_core.evidence.model import PcrSelection, PcrValues
from e2etrust_core.evidence.tpm_structures import encode_selection, selection_order
from e2etrust_core.suites import HASH_BY_ID, HASHES
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.errors import PcrsUnstable, TpmError

_TRIES = 5


def read_pcrs(tpm: Tpm, selection: PcrSelection) -> PcrValues:
    """Read the selected PCRs, all of one moment.

    :raises TpmError: the TPM has no such bank.
    :raises PcrsUnstable: they changed each time.
    """
    with tpm.connected() as esys:
        for _ in range(_TRIES):
            values = _read_once(esys, selection)
            if values is not None:
                return values
    raise PcrsUnstable(f"PCRs changed each of {_TRIES} times while they were read")


def extend_pcr(tpm: Tpm, index: int, digests: dict[str, bytes]) -> None:
    """Extend PCR *index* by one digest a bank (TPM2_PCR_Extend).

    :raises InputError: no such PCR or bank, or a digest of another size.
    """
    if not 0 <= index < 24:
        raise InputError(f"there is no PCR {index}")
    entries = []
    for bank, digest in digests.items():
        if bank not in HASHES or len(digest) != HASHES[bank].size:
            raise InputError(f"no digest of bank {bank!r} has {len(digest)} bytes")
        entries.append(TPMT_HA(hashAlg=HASHES[bank].alg_id, digest=TPMU_HA(**{bank: digest})))
    with tpm.connected() as esys:
        esys.pcr_extend(ESYS_TR(index), TPML_DIGEST_VALUES(entries))


def active_banks(tpm: Tpm) -> list[str]:
    """Return the names of the banks that have PCRs; banks of hashes unknown here are left out."""
    with tpm.connected() as esys:
        _, answer = esys.get_capability(TPM2_CAP.PCRS, 0, 16)
        assigned = answer.data.assignedPCR
        return [
            HASH_BY_ID[int(assigned[i].hash)].name
            for i in range(assigned.count)
            if int(assigned[i].hash) in HASH_BY_ID and any(_select_bytes(assigned[i]))
        ]


def tss_selection(selection: PcrSelection) -> TPML_PCR_SELECTION:
    """Return *selection* for the TSS."""
    return TPML_PCR_SELECTION.unmarshal(encode_selection(selection))[0]


def _select_bytes(entry: object) -> bytes:
    return bytes(entry.pcrSelect[0 : entry.sizeofSelect])  # type: ignore[attr-defined]


def _read_once(esys: ESAPI, selection: PcrSelection) -> PcrValues | None:
    """Return the values, or None where a PCR was extended in between."""
    wanted = [(bank, i) for bank in selection_order(selection) for i in sorted(selection[bank])]
    values: PcrValues = {bank: {} for bank in selection}
    counter: int | None = None
    while wanted:
        rest: PcrSelection = {}
        for bank, index in wanted:
            rest.setdefault(bank, []).append(index)
        now, _, digests = esys.pcr_read(tss_selection(rest))
        if counter is not None and now != counter:
            return None
        counter = now
        if not digests.count:
            raise TpmError(f"the TPM has no PCR bank {wanted[0][0]}")
        # The TPM answers in the order asked, up to eight at a time.
        for (bank, index), digest in zip(wanted, digests, strict=False):
            values[bank][index] = bytes(digest)
            if len(values[bank][index]) != HASHES[bank].size:
                raise TpmError(f"the TPM has no PCR bank {bank}")
        wanted = wanted[digests.count :]
    return values
