# SPDX-License-Identifier: Apache-2.0
"""Evidence that a verifier recorded, as the files of a folder (:mod:`.folder`)."""

from __future__ import annotations

from e2etrust_client.appraise.folder import BANK_SLOTS, DIGEST_ROOM, DIGEST_SLOTS, LATER_LOG
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.evidence.model import PcrValues
from e2etrust_core.evidence.tpm_bytes import sized
from e2etrust_core.suites import HASHES


def files_of(recorded: RecordedAppraisal) -> dict[str, bytes]:
    """Return the files by name.

    Of an IMA list that begins where the verifier had read to before, there is none: a part is no
    list.
    """
    evidence = recorded.evidence
    files = {
        "q_host.msg": evidence.quote.attest,
        "q_host.sig": evidence.quote.signature,
        "q_host.pcrs": pcr_file(evidence.quote.pcrs),
        "ak_host.tpmt": recorded.ak_public,
        "ek_host.pub": sized(recorded.ek_public),
        "ekcert_host.der": recorded.ek_certificate,
        "bios_log": evidence.event_log,
        LATER_LOG: evidence.later_log,
        "ima_bin": evidence.ima if evidence.ima_from == 0 else None,
    }
    return {name: data for name, data in files.items() if data is not None}


def pcr_file(values: PcrValues) -> bytes:
    """Return PCR values as tpm2_quote's "serialized" format has them: what
    :func:`.folder.parse_pcr_values` reads."""
    banks = [_bank(bank, indexes) for bank, indexes in values.items()]
    digests = [of_bank[index] for of_bank in values.values() for index in sorted(of_bank)]
    groups = [digests[at : at + DIGEST_SLOTS] for at in range(0, len(digests), DIGEST_SLOTS)]
    return (
        _number(len(banks), 4)
        + b"".join(banks).ljust(BANK_SLOTS * 8, b"\0")
        + _number(len(groups), 4)
        + b"".join(_group(group) for group in groups)
    )


def _bank(bank: str, values: dict[int, bytes]) -> bytes:
    bits = sum(1 << index for index in values)
    return _number(HASHES[bank].alg_id, 2) + _number(3, 1) + _number(bits, 4) + b"\0"


def _group(digests: list[bytes]) -> bytes:
    slots = b"".join(_number(len(one), 2) + one.ljust(DIGEST_ROOM, b"\0") for one in digests)
    return _number(len(digests), 4) + slots.ljust(DIGEST_SLOTS * (2 + DIGEST_ROOM), b"\0")


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")
