# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from e2etrust_core.crypto import Sm2PublicKey
from e2etrust_core.errors import E2ETrustError, SuiteError
from e2etrust_core.evidence.errors import StructureError
from e2etrust_core.evidence.tpm_structures import (
    decode_public,
    decode_quote,
    decode_signature,
    encode_selection,
    key_of,
    name_of,
    public_key_of,
)
from tests.unit.core.software_tpm import SoftwareTpm
from tests.vectors import vectors

TPM = SoftwareTpm()
ATTEST = TPM.attest(b"nonce", {"sha256": [0, 23], "sha1": [7]})


@pytest.mark.parametrize("folder", ["ovmf-plain", "ovmf-sm3"])
@pytest.mark.parametrize("kind", ["ecc", "rsa"])
def test_names_and_keys_are_those_that_tpm2_tools_wrote(folder, kind):
    home = vectors(folder)
    public = (home / f"ak_{kind}.tpmt").read_bytes()
    assert name_of(public) == (home / f"ak_{kind}.name").read_bytes()
    assert key_of(decode_public(public)) == load_pem_public_key(
        (home / f"ak_{kind}.pem").read_bytes()
    )


def test_sm2_key_is_one_to_verify_with_and_none_to_encrypt_to():
    public = decode_public((vectors("ovmf-sm3") / "ak_sm2.tpmt").read_bytes())
    assert isinstance(public_key_of(public), Sm2PublicKey)
    with pytest.raises(SuiteError, match="SM2"):
        key_of(public)


def test_selection_is_read_in_the_order_of_the_tpm():
    assert decode_quote(ATTEST).selection == (("sha1", (7,)), ("sha256", (0, 23)))


@pytest.mark.parametrize(
    ("decode", "good"),
    [
        (decode_public, TPM.ek_public),
        (decode_public, TPM.ak_public),
        (decode_quote, ATTEST),
        (decode_signature, TPM.sign(ATTEST)),
    ],
)
def test_every_cut_and_every_byte_too_many_is_refused(decode, good):
    decode(good)
    for size in range(len(good)):
        with pytest.raises(StructureError if size > 6 else E2ETrustError):
            decode(good[:size])
    with pytest.raises(StructureError):
        decode(good + b"\0")


def test_point_off_its_curve_is_no_key():
    public = bytearray(TPM.ak_public)
    public[-1] ^= 1
    with pytest.raises(StructureError):
        key_of(decode_public(bytes(public)))


@pytest.mark.parametrize("selection", [{"md5": [0]}, {"sha256": [24]}, {"sha256": [-1]}])
def test_selection_of_what_is_not_there_is_refused(selection):
    with pytest.raises(StructureError):
        encode_selection(selection)


@given(st.binary(max_size=300), st.sampled_from([decode_public, decode_quote, decode_signature]))
@settings(max_examples=400)
def test_any_bytes_are_decoded_or_one_clear_error(noise, decode):
    try:
        decode(noise)
    except E2ETrustError:
        pass


@given(st.data(), st.sampled_from([TPM.ek_public, TPM.ak_public, ATTEST, TPM.sign(ATTEST)]))
@settings(max_examples=400)
def test_damaged_structures_are_decoded_or_one_clear_error(data, good):
    damaged = bytearray(good)
    for at in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    for decode in (decode_public, decode_quote, decode_signature):
        try:
            decode(bytes(damaged))
        except E2ETrustError:
            pass
