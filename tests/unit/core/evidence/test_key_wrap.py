# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from e2etrust_core.errors import InputError
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.errors import EkRefused, StructureError
from e2etrust_core.evidence.key_wrap import wrap_for_host
from e2etrust_core.evidence.tpm_structures import decode_public, name_of
from tests.unit.core.software_tpm import SoftwareTpm

TPM = SoftwareTpm()
SELECTION = {"sha256": [0, 7]}


def test_wrapped_object_can_only_be_used_by_its_policy():
    wrapped = wrap_for_host(TPM.ek_public, b"k" * 32, SELECTION, TPM.pcrs)
    public = decode_public(wrapped.public[2:])
    assert public.attributes == 1 << 10  # noDA alone: no userWithAuth, not fixed
    assert len(public.auth_policy) == 32


def test_two_wraps_of_one_key_share_nothing():
    first, second = (wrap_for_host(TPM.ek_public, b"k" * 32, SELECTION, TPM.pcrs) for _ in "ab")
    assert first.public != second.public
    assert first.duplicate != second.duplicate
    assert first.encrypted_seed != second.encrypted_seed


@pytest.mark.parametrize("selection", [{}, {"sha256": []}, {"sha256": [0], "sha1": []}])
def test_wrapping_to_no_pcr_is_refused(selection):
    with pytest.raises(InputError):
        wrap_for_host(TPM.ek_public, b"k" * 32, selection, TPM.pcrs)


def test_wrapping_to_values_that_are_not_known_is_refused():
    with pytest.raises(InputError, match="sha256:7"):
        wrap_for_host(TPM.ek_public, b"k" * 32, SELECTION, {"sha256": {0: bytes(32)}})
    with pytest.raises(InputError, match="sha256:0"):
        wrap_for_host(TPM.ek_public, b"k" * 32, SELECTION, {"sha256": {0: b"", 7: bytes(32)}})


@pytest.mark.parametrize("size", [0, 129])
def test_secret_of_a_size_that_no_tpm_seals_is_refused(size):
    with pytest.raises(InputError):
        wrap_for_host(TPM.ek_public, bytes(size), SELECTION, TPM.pcrs)


@pytest.mark.parametrize("size", [0, 15, 33])
def test_credential_of_a_wrong_size_is_refused(size):
    with pytest.raises(InputError):
        make_credential(TPM.ek_public, name_of(TPM.ak_public), bytes(size))


def test_signing_key_is_no_ek():
    with pytest.raises(EkRefused):
        make_credential(TPM.ak_public, name_of(TPM.ak_public), bytes(32))


def test_key_that_is_not_fixed_to_a_tpm_is_no_ek():
    loose = bytearray(TPM.ek_public)
    loose[7] &= ~0x02  # fixedTPM
    with pytest.raises(EkRefused):
        wrap_for_host(bytes(loose), bytes(32), SELECTION, TPM.pcrs)


def test_junk_is_no_ek():
    with pytest.raises(StructureError):
        wrap_for_host(b"junk", bytes(32), SELECTION, TPM.pcrs)
