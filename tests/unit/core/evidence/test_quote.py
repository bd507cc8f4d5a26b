# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from e2etrust_core.evidence import errors
from e2etrust_core.evidence import quote as quotes
from e2etrust_core.evidence.model import Quote
from e2etrust_core.evidence.quote import check_ak, verify_quote
from e2etrust_core.evidence.tpm_structures import (
    KEYS_KNOWN,
    decode_public,
    public_key_of,
    qualified_name,
)
from e2etrust_core.suites import ECC_P256_SHA256, RSA2048_SHA256, SM2_SM3
from tests.unit.core.software_tpm import AK_ATTRIBUTES, SoftwareTpm
from tests.vectors import vectors

NONCE = bytes(range(32))
SELECTION = {"sha256": [0, 1, 7]}
TWO_BANKS = {"sha256": [0, 7, 23], "sha1": [1]}


@pytest.fixture(scope="module")
def tpm() -> SoftwareTpm:
    return SoftwareTpm()


def signed(tpm: SoftwareTpm, attest: bytes, selection=None) -> Quote:
    return Quote(attest, tpm.sign(attest), tpm.selected(selection or SELECTION))


def refused(tpm: SoftwareTpm, quote: Quote, code: str, selection=None) -> None:
    with pytest.raises(errors.QuoteError) as caught:
        verify_quote(quote, tpm.ak_public, NONCE, selection or SELECTION, tpm.ek_public)
    assert caught.value.code == code


def test_memory_of_decoded_keys_is_bounded_and_holds_no_refusal(tpm):
    for known in (quotes._decode_ak, decode_public, public_key_of, qualified_name):
        assert known.cache_info().maxsize == KEYS_KNOWN
    before = quotes._decode_ak.cache_info().currsize
    for number in range(5):
        with pytest.raises(errors.AkRefused):
            check_ak(bytes([number]) * 90, ECC_P256_SHA256)
    assert quotes._decode_ak.cache_info().currsize == before


def test_good_quote_tells_clock_and_values(tpm):
    facts = verify_quote(
        tpm.quote(NONCE, SELECTION), tpm.ak_public, NONCE, SELECTION, tpm.ek_public
    )
    assert (facts.clock, facts.reset_count, facts.restart_count, facts.safe) == (1000, 5, 0, True)
    assert facts.pcrs == tpm.selected(SELECTION)


def test_good_quote_over_two_banks_in_the_order_of_the_tpm(tpm):
    facts = verify_quote(tpm.quote(NONCE, TWO_BANKS), tpm.ak_public, NONCE, TWO_BANKS)
    assert facts.pcrs["sha1"] == {1: tpm.pcrs["sha1"][1]}


def test_structure_that_no_tpm_made_is_refused(tpm):
    refused(tpm, signed(tpm, tpm.attest(NONCE, SELECTION, magic=0xFF544348)), "QUOTE_MAGIC")


def test_attestation_of_another_type_is_refused(tpm):
    refused(tpm, signed(tpm, tpm.attest(NONCE, SELECTION, kind=0x8017)), "QUOTE_TYPE")


@pytest.mark.parametrize("cut", [1, 20, 60, 100])
def test_cut_quote_is_refused(tpm, cut):
    refused(tpm, signed(tpm, tpm.attest(NONCE, SELECTION)[:-cut]), "QUOTE_MALFORMED")


def test_quote_with_bytes_behind_it_is_refused(tpm):
    refused(tpm, signed(tpm, tpm.attest(NONCE, SELECTION) + b"\0"), "QUOTE_MALFORMED")


def test_quote_that_names_another_signer_is_refused(tpm):
    other = SoftwareTpm().qualified_signer
    refused(tpm, signed(tpm, tpm.attest(NONCE, SELECTION, signer=other)), "AK_FOREIGN")


def test_quote_of_another_tpm_is_refused(tpm):
    refused(tpm, SoftwareTpm().quote(NONCE, SELECTION), "AK_FOREIGN")


def test_cve_2023_3674_changed_signature_is_refused(tpm):
    quote = tpm.quote(NONCE, SELECTION)
    for at in (11, len(quote.signature) - 1):
        forged = bytearray(quote.signature)
        forged[at] ^= 1
        refused(tpm, replace(quote, signature=bytes(forged)), "SIGNATURE_WRONG")


def test_signature_by_another_key_is_refused(tpm):
    attest = tpm.attest(NONCE, SELECTION)
    forged = Quote(attest, SoftwareTpm().sign(attest), tpm.selected(SELECTION))
    refused(tpm, forged, "SIGNATURE_WRONG")


def test_quote_with_foreign_nonce_is_refused(tpm):
    refused(tpm, tpm.quote(bytes(32), SELECTION), "NONCE_MISMATCH")


def test_quote_without_nonce_is_refused_even_if_none_is_expected(tpm):
    with pytest.raises(errors.NonceMismatch):
        verify_quote(tpm.quote(b"", SELECTION), tpm.ak_public, b"", SELECTION)


def test_cve_2022_0317_partial_selection_with_full_list_of_values_is_refused(tpm):
    attest = tpm.attest(NONCE, {"sha256": [0, 1]})
    refused(tpm, signed(tpm, attest), "SELECTION_MISMATCH")


def test_cve_2022_0317_values_beside_the_selection_are_refused(tpm):
    quote = tpm.quote(NONCE, SELECTION)
    for bank, index in (("sha256", 9), ("sha1", 0)):
        more = {**quote.pcrs, bank: {**quote.pcrs.get(bank, {}), index: bytes(32)}}
        refused(tpm, replace(quote, pcrs=more), "SELECTION_MISMATCH")


def test_cve_2022_0317_empty_selection_is_refused(tpm):
    attest = tpm.attest(NONCE, {}, raw_selection=bytes(4))
    refused(tpm, signed(tpm, attest), "SELECTION_MISMATCH")
    attest = tpm.attest(NONCE, {"sha256": []})
    refused(tpm, Quote(attest, tpm.sign(attest), {}), "SELECTION_MISMATCH")


def test_same_pcrs_of_another_bank_are_refused(tpm):
    refused(tpm, tpm.quote(NONCE, {"sha1": [0, 1, 7]}), "SELECTION_MISMATCH")


def test_bank_selected_twice_is_refused(tpm):
    twice = b"\0\0\0\2" + b"\0\x0b\3\x83\0\0" * 2
    refused(
        tpm, signed(tpm, tpm.attest(NONCE, SELECTION, raw_selection=twice)), "SELECTION_MISMATCH"
    )


def test_value_that_is_not_selected_is_refused(tpm):
    quote = tpm.quote(NONCE, SELECTION)
    quote.pcrs["sha256"][9] = bytes(32)
    refused(tpm, quote, "SELECTION_MISMATCH")


def test_asking_for_nothing_is_refused(tpm):
    with pytest.raises(errors.SelectionMismatch):
        verify_quote(tpm.quote(NONCE, SELECTION), tpm.ak_public, NONCE, {})


def test_other_pcr_values_are_refused(tpm):
    quote = tpm.quote(NONCE, SELECTION)
    quote.pcrs["sha256"][7] = bytes(32)
    refused(tpm, quote, "PCR_DIGEST_MISMATCH")


def test_values_shifted_over_their_borders_are_refused(tpm):
    quote = tpm.quote(NONCE, SELECTION)
    values = quote.pcrs["sha256"]
    values[0], values[1] = values[0] + values[1][:1], values[1][1:]
    refused(tpm, quote, "PCR_DIGEST_MISMATCH")


@pytest.mark.parametrize("bit", [1, 4, 5, 16, 18])
def test_cve_2021_3406_key_that_signs_anything_is_no_ak(bit):
    tpm = SoftwareTpm(ak_attributes=AK_ATTRIBUTES & ~(1 << bit))
    with pytest.raises(errors.AkRefused):
        check_ak(tpm.ak_public, ECC_P256_SHA256)
    with pytest.raises(errors.AkRefused):
        verify_quote(tpm.quote(NONCE, SELECTION), tpm.ak_public, NONCE, SELECTION)


def test_ak_that_is_named_by_sha1_is_refused(tpm):
    named = tpm.ak_public[:2] + (0x0004).to_bytes(2, "big") + tpm.ak_public[4:]
    with pytest.raises(errors.AkRefused, match="sha1"):
        check_ak(named, ECC_P256_SHA256)


def test_ak_that_also_decrypts_is_refused():
    with pytest.raises(errors.AkRefused):
        check_ak(SoftwareTpm(ak_attributes=AK_ATTRIBUTES | 1 << 17).ak_public, ECC_P256_SHA256)


def test_ak_of_another_suite_is_refused(tpm):
    check_ak(tpm.ak_public, ECC_P256_SHA256)
    with pytest.raises(errors.AkRefused):
        check_ak(tpm.ak_public, RSA2048_SHA256)


@pytest.mark.parametrize("folder", ["ovmf-plain", "ovmf-sm3"])
@pytest.mark.parametrize(("name", "ak", "ek"), [("q_ecc", "ecc", "ecc"), ("q_rsa", "rsa", "rsa")])
def test_captured_quotes_verify(folder, name, ak, ek):
    home = vectors(folder)
    banks = {"ovmf-plain": ["sha256"], "ovmf-sm3": ["sha256", "sm3_256"]}[folder]
    selection = {bank: [*range(11), 14] for bank in banks}
    quote = Quote(
        (home / f"{name}.msg").read_bytes(),
        (home / f"{name}.sig").read_bytes(),
        read_tool_values((home / f"{name}.pcrs").read_bytes(), selection),
    )
    nonce = bytes.fromhex("00112233445566778899aabbccddeeff00112233")
    public = (home / f"ak_{ak}.tpmt").read_bytes()
    facts = verify_quote(quote, public, nonce, selection, (home / f"ek_{ek}.pub").read_bytes()[2:])
    assert facts.pcrs == quote.pcrs


SM3_SELECTION = {"sm3_256": [*range(11), 14]}
CAPTURED_NONCE = bytes.fromhex("00112233445566778899aabbccddeeff00112233")


@pytest.fixture
def sm2_quote() -> Quote:
    home = vectors("ovmf-sm3")
    values = read_tool_values((home / "q_sm2.pcrs").read_bytes(), SM3_SELECTION)
    return Quote((home / "q_sm2.msg").read_bytes(), (home / "q_sm2.sig").read_bytes(), values)


def sm2_ak() -> bytes:
    return (vectors("ovmf-sm3") / "ak_sm2.tpmt").read_bytes()


def test_captured_sm2_quote_over_the_sm3_bank_verifies(sm2_quote):
    facts = verify_quote(sm2_quote, sm2_ak(), CAPTURED_NONCE, SM3_SELECTION)
    assert facts.pcrs == sm2_quote.pcrs
    check_ak(sm2_ak(), SM2_SM3)


@pytest.mark.parametrize("at", [0, 11, 40, 71])
def test_captured_sm2_quote_with_another_signature_is_refused(sm2_quote, at):
    altered = bytearray(sm2_quote.signature)
    altered[at] ^= 1
    with pytest.raises((errors.QuoteError, errors.AkRefused)):
        verify_quote(
            replace(sm2_quote, signature=bytes(altered)), sm2_ak(), CAPTURED_NONCE, SM3_SELECTION
        )


def test_captured_sm2_quote_with_another_value_is_refused(sm2_quote):
    values = {"sm3_256": {**sm2_quote.pcrs["sm3_256"], 7: bytes(32)}}
    with pytest.raises(errors.PcrDigestMismatch):
        verify_quote(replace(sm2_quote, pcrs=values), sm2_ak(), CAPTURED_NONCE, SM3_SELECTION)


def test_sm2_key_off_the_curve_is_refused(sm2_quote):
    altered = bytearray(sm2_ak())
    altered[-1] ^= 1
    with pytest.raises(errors.AkRefused, match="curve"):
        verify_quote(sm2_quote, bytes(altered), CAPTURED_NONCE, SM3_SELECTION)


def read_tool_values(data: bytes, selection) -> dict[str, dict[int, bytes]]:
    """Values as tpm2_quote --pcrs_format=serialized writes them (host byte order)."""
    at = 4 + 16 * 8
    groups = int.from_bytes(data[at : at + 4], "little")
    at += 4
    flat = []
    for _ in range(groups):
        count = int.from_bytes(data[at : at + 4], "little")
        at += 4
        for slot in range(8):
            size = int.from_bytes(data[at : at + 2], "little")
            if slot < count:
                flat.append(data[at + 2 : at + 2 + size])
            at += 2 + 64
    rest = iter(flat)
    return {bank: {index: next(rest) for index in ix} for bank, ix in selection.items()}
