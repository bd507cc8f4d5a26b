# SPDX-License-Identifier: Apache-2.0
"""Keys wrapped to one host: its TPM opens them, in one PCR state, and nothing else does.

The key becomes the data of a sealed object whose only authorisation is PolicyPCR, and that
object is duplicated to the host's EK (TPM 2.0 Library Part 1, 23.3; Part 3, 13.3 and 23.7).
What lies on the bus or a disk reveals nothing.
"""

from __future__ import annotations

import hashlib
import secrets

from e2etrust_core.errors import InputError
from e2etrust_core.evidence.model import PcrSelection, PcrValues
from e2etrust_core.evidence.protected_seed import StorageKey
from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import (
    NO_DA,
    encode_keyed_hash_public,
    encode_selection,
    name_of,
    selection_order,
)
from e2etrust_core.messages import WrappedKey
from e2etrust_core.suites import HASHES, TPM_ALG_KEYEDHASH

TPM_CC_POLICY_PCR = 0x0000017F
#: TPM 2.0 Library Part 2, 11.1.15: MAX_SYM_DATA, what a sealed object holds at most.
MAX_SEALED = 128

_NAME_HASH = HASHES["sha256"]


def wrap_for_host(
    ek_public: bytes, secret: bytes, selection: PcrSelection, pcr_values: PcrValues
) -> WrappedKey:
    """Wrap *secret* (1 to 128 bytes) so that only that TPM in that PCR state opens it.

    :param ek_public: TPMT_PUBLIC of the host's EK.
    :param pcr_values: must hold every value that *selection* names.
    :raises StructureError: *ek_public* is no public area, or *selection* no selection.
    :raises EkRefused, SuiteError: the EK is of a kind that nothing is encrypted to.
    :raises InputError: empty selection, values missing, or a secret of the wrong size.
    """
    if not 1 <= len(secret) <= MAX_SEALED:
        raise InputError(f"a secret of {len(secret)} bytes: 1 to {MAX_SEALED} can be wrapped")
    ek = StorageKey.decode(ek_public)
    obfuscation = secrets.token_bytes(_NAME_HASH.size)
    public = encode_keyed_hash_public(
        _NAME_HASH,
        # Neither fixedTPM nor fixedParent (it is imported), no userWithAuth: policy only.
        NO_DA,
        policy_pcr(selection, pcr_values),
        hashlib.sha256(obfuscation + secret).digest(),
    )
    # TPMT_SENSITIVE (Part 2, 12.3.2.4): type, empty authValue, seedValue, the data.
    sensitive = uint(TPM_ALG_KEYEDHASH, 2) + sized(b"") + sized(obfuscation) + sized(secret)
    seed, encrypted_seed = ek.new_seed(b"DUPLICATE")
    duplicate = ek.protect(seed, name_of(public), sized(sensitive))
    return WrappedKey(sized(public), sized(duplicate), sized(encrypted_seed), selection)


def policy_pcr(selection: PcrSelection, pcr_values: PcrValues) -> bytes:
    """Return the SHA-256 policy digest of one PolicyPCR (Part 3, 23.7).

    :raises InputError: nothing is selected, or a value is missing.
    """
    values = hashlib.sha256(selected_values(selection, pcr_values)).digest()
    command = uint(TPM_CC_POLICY_PCR, 4) + encode_selection(selection) + values
    return hashlib.sha256(bytes(_NAME_HASH.size) + command).digest()


def selected_values(selection: PcrSelection, pcr_values: PcrValues) -> bytes:
    """Return the selected values one after another, in the TPM's order.

    :raises InputError: nothing is selected, or a value is missing or of another size.
    """
    if not selection or not all(selection.values()):
        raise InputError("a key cannot be wrapped to no PCR at all")
    out = b""
    for bank in selection_order(selection):
        for index in sorted(set(selection[bank])):
            value = pcr_values.get(bank, {}).get(index)
            if value is None or len(value) != HASHES[bank].size:
                raise InputError(f"no value of PCR {bank}:{index} to wrap the key to")
            out += value
    return out
