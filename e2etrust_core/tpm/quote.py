# SPDX-License-Identifier: Apache-2.0
"""Quotes: PCR values under the AK's signature (TPM 2.0 Library Part 3, 18.4)."""

from __future__ import annotations

from tpm2_pytss import ESYS_TR, TPM2B_DATA

from e2etrust_core.crypto import digest_of
from e2etrust_core.errors import InputError
from e2etrust_core.evidence.model import PcrSelection, PcrValues, Quote
from e2etrust_core.evidence.tpm_structures import AttestedQuote, decode_quote
from e2etrust_core.suites import SUITES
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.errors import PcrsUnstable
from e2etrust_core.tpm.keys import AttestationKey, loaded_ak
from e2etrust_core.tpm.pcr import read_pcrs, tss_selection

_TRIES = 5


def take_quote(tpm: Tpm, ak: AttestationKey, qualifying: bytes, selection: PcrSelection) -> Quote:
    """Quote *selection*, with the values that the quote covers.

    :param qualifying: 1 to 64 bytes that bind the quote to a challenge.
    :raises KeyLost: *ak* is not of this TPM.
    :raises PcrsUnstable: PCRs changed each time between the quote and their reading.
    """
    if not 1 <= len(qualifying) <= 64:
        raise InputError(f"{len(qualifying)} bytes of qualifying data: 1 to 64 fit a quote")
    with tpm.connected() as esys, loaded_ak(tpm, esys, ak) as handle:
        for _ in range(_TRIES):
            attest, signature = esys.quote(
                handle, tss_selection(selection), TPM2B_DATA(qualifying), session1=ESYS_TR.PASSWORD
            )
            signed = decode_quote(bytes(attest))
            covered = {bank: list(indexes) for bank, indexes in signed.selection if indexes}
            values = read_pcrs(tpm, covered) if covered else {}
            if _digest(ak, signed, values) == signed.pcr_digest:
                return Quote(bytes(attest), signature.marshal(), values)
    raise PcrsUnstable(f"PCRs changed each of {_TRIES} times between the quote and their reading")


def _digest(ak: AttestationKey, signed: AttestedQuote, values: PcrValues) -> bytes:
    covered = b"".join(values[bank][i] for bank, indexes in signed.selection for i in indexes)
    return digest_of(SUITES[ak.suite].hash.hashlib_name, covered)
