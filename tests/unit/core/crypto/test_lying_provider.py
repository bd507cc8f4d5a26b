# SPDX-License-Identifier: Apache-2.0
"""Of two providers one lies: no kind of check believes it, whichever of the two it is.

It lies in both directions: says yes to what is wrong, and no to what is right.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from e2etrust_core import crypto
from e2etrust_core.crypto import selection
from e2etrust_core.crypto.gmssl_provider import GmsslProvider
from e2etrust_core.crypto.openssl_provider import OpensslProvider
from e2etrust_core.crypto.sm2_signing import generate_key
from e2etrust_core.evidence.certificate import is_signed_by, load_certificate
from e2etrust_core.evidence.certified import Certified, Certifier, verify_certified_nv
from e2etrust_core.evidence.errors import QuoteError
from e2etrust_core.evidence.ima_frames import covered_by_quote, split_ima_list
from e2etrust_core.evidence.ima_list import entries_quoted, parse_ima_list
from e2etrust_core.evidence.quote import verify_quote
from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import name_of, qualified_name
from e2etrust_core.launch import hcrtm_pcr0
from e2etrust_core.sealed import merkle
from tests.unit.core.evidence.test_ek_certificate import Sm2Authority
from tests.unit.core.evidence.test_ima_signature import fields, sign
from tests.unit.core.evidence.test_ima_signature_sm2 import Sm2Key, ring_of
from tests.unit.core.ima_writer import ng
from tests.unit.core.sm2_tpm import Sm2Tpm

TPM = Sm2Tpm()
SELECTION = {"sm3_256": [0, 7]}
NONCE = b"nonce"
EK_PARENT = uint(0x4000000B, 4)


class SaysYes(OpensslProvider):
    name = "says yes"

    def sm2_verify(self, *_: Any) -> bool:
        return True


class SaysNo(OpensslProvider):
    name = "says no"

    def sm2_verify(self, *_: Any) -> bool:
        return False


class HashesOtherwise(OpensslProvider):
    name = "hashes otherwise"

    def sm3(self, data: bytes) -> bytes:
        return hashlib.new("sm3", data + b"\0").digest()


@pytest.fixture(params=["liar second", "liar first"])
def beside(request, monkeypatch) -> Callable[[type], None]:
    """Return what puts a liar beside an honest provider, as the first or the second of them."""

    def put(liar: type) -> None:
        pair = (GmsslProvider(), liar())
        chosen = pair if request.param == "liar second" else pair[::-1]
        monkeypatch.setattr(selection, "_selected", chosen)
        qualified_name.cache_clear()  # what the providers of before agreed on

    return put


def forged() -> Any:
    """Return a good quote, and one with another signature."""
    quote = TPM.quote(NONCE, SELECTION)
    return quote, replace(quote, signature=TPM.sign(quote.attest + b"\0"))


def check_quote(quote: Any) -> None:
    verify_quote(quote, TPM.ak_public, NONCE, SELECTION, TPM.ek_public)


def test_quote_that_is_forged_is_believed_by_nobody(beside):
    good, bad = forged()
    check_quote(good)
    with pytest.raises(QuoteError):
        check_quote(bad)
    beside(SaysYes)
    with pytest.raises(crypto.OpinionsDiffer):
        check_quote(bad)
    beside(SaysNo)
    with pytest.raises(crypto.OpinionsDiffer):
        check_quote(good)
    beside(HashesOtherwise)
    with pytest.raises(crypto.OpinionsDiffer):
        check_quote(good)


def certified_nv() -> Certified:
    attest = TPM.attest(NONCE, SELECTION)
    signer = sized(qualified_name(TPM.ak_public, qualified_name(TPM.ek_public, EK_PARENT)))
    clock_at = 6 + len(signer) + 2 + len(NONCE)
    head = attest[:4] + uint(0x8014, 2) + attest[6 : clock_at + 25]
    attest = head + sized(b"\0\x0b" + bytes(32)) + uint(0, 2) + sized(b"contents")
    return Certified(attest, TPM.sign(attest))


def test_certified_nv_contents_have_two_opinions(beside):
    certified, who = certified_nv(), Certifier(TPM.ak_public, TPM.ek_public, NONCE)
    name = b"\0\x0b" + bytes(32)
    assert verify_certified_nv(certified, who, name).contents == b"contents"
    bad = replace(certified, signature=TPM.sign(b"another"))
    for liar, shown in ((SaysYes, bad), (SaysNo, certified), (HashesOtherwise, certified)):
        beside(liar)
        with pytest.raises(crypto.OpinionsDiffer):
            verify_certified_nv(shown, who, name)


def test_ek_certificate_has_two_opinions(beside, tmp_path):
    authority = Sm2Authority(tmp_path)
    leaf = load_certificate(authority.certify())
    issuer = load_certificate(pem_to_der(authority.pem))
    assert is_signed_by(leaf, issuer)
    stranger = replace(leaf, tbs=leaf.tbs + b"\0")
    assert not is_signed_by(stranger, issuer)
    for liar, shown in ((SaysYes, stranger), (SaysNo, leaf), (HashesOtherwise, leaf)):
        beside(liar)
        with pytest.raises(crypto.OpinionsDiffer):
            is_signed_by(shown, issuer)


def test_signature_of_a_file_has_two_opinions(beside, tmp_path):
    key = Sm2Key(generate_key().pkcs8)
    ring, good = ring_of(key), fields(sign(tmp_path, key, "sm3"), "sm3")
    bad = fields(good.signature, "sm3", b"another")
    assert (ring.signed(good), ring.signed(bad)) == (True, False)
    for liar, shown in ((SaysYes, bad), (SaysNo, good)):
        beside(liar)
        with pytest.raises(crypto.OpinionsDiffer):
            ring.signed(shown)


def pem_to_der(pem: bytes) -> bytes:
    return b64decode(b"".join(pem.split(b"-----")[2].split()))


def test_signature_of_an_attestation_result_is_not_given_out_unless_both_take_it(beside):
    key = generate_key()
    assert len(key.sign(b"claims")) == 64
    for liar in (SaysNo, HashesOtherwise):
        beside(liar)
        with pytest.raises(crypto.OpinionsDiffer):
            key.sign(b"claims")


def test_every_digest_has_two_opinions(beside):
    ima = ng("/bin/a")
    entries, frames = parse_ima_list(ima), split_ima_list(ima)
    value = hashlib.new("sm3", bytes(32) + hashlib.new("sm3", entries[0].hashed).digest()).digest()
    pages = bytes(32)
    checks: dict[str, Callable[[], object]] = {
        "name of a key": lambda: name_of(TPM.ak_public),
        "qualified name": lambda: qualified_name(TPM.ak_public, EK_PARENT),
        "launch measurement in the vTPM": lambda: hcrtm_pcr0(b"measurement", "sm3"),
        "IMA replay": lambda: entries_quoted(entries, "sm3_256", value),
        "IMA replay at once": lambda: covered_by_quote(frames, "sm3_256", value),
        "root of a sealed image": lambda: merkle.root_hash(65536, 1, 1 << 20, pages),
        "hash object": lambda: crypto.constructor("sm3")(b"data").digest(),
    }
    for check in checks.values():
        assert check()
    beside(HashesOtherwise)
    for what, check in checks.items():
        try:
            check()
        except crypto.OpinionsDiffer:
            continue
        pytest.fail(f"{what} believed a provider that lies")


def test_root_of_a_sealed_image_is_not_one_librarys_word(monkeypatch):
    """Libgcrypt hashes the tree; the root is held against the provider, also where it is alone."""
    monkeypatch.setattr(selection, "_selected", (HashesOtherwise(),))
    with pytest.raises(crypto.OpinionsDiffer):
        merkle.root_hash(65536, 1, 1 << 20, bytes(32))
