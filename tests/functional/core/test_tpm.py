# SPDX-License-Identifier: Apache-2.0
"""Attestation against a real TPM emulator, and tpm2-tools as the independent implementation."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tpm2_pytss import TPM2_CAP, TPM2B_NAME, TPM2B_PUBLIC, TPMT_PUBLIC
from tpm2_pytss.utils import make_credential as pytss_make_credential

from e2etrust_core.errors import InputError
from e2etrust_core.evidence import errors
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.ek_certificate import verify_ek_certificate
from e2etrust_core.evidence.key_wrap import policy_pcr, wrap_for_host
from e2etrust_core.evidence.model import Quote
from e2etrust_core.evidence.quote import check_ak, verify_quote
from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import decode_public, name_of
from e2etrust_core.suites import ECC_P256_SHA256, RSA2048_SHA256, SUITES, TPM_ALG_SM2
from e2etrust_core.tpm.clock import read_clock
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import Tpm, open_tpm
from e2etrust_core.tpm.errors import CredentialRefused, KeyLost, TpmUnreachable, UnwrapRefused
from e2etrust_core.tpm.key_unwrap import unwrap_key
from e2etrust_core.tpm.keys import AttestationKey, check_ak_loads, create_ak, read_ek
from e2etrust_core.tpm.pcr import active_banks, extend_pcr, read_pcrs
from e2etrust_core.tpm.quote import take_quote
from e2etrust_core.tpm.salt_key import KnownHost

SELECTION = {"sha256": list(range(10))}
TWO_BANKS = {"sha256": list(range(10)), "sha1": [0, 7, 16]}
KINDS = ("rsa2048", "ecc-p256", "sm2")
#: Other implementations know no SM2 endorsement keys: for these the TPM itself is the other one.
KNOWN_TO_OTHERS = KINDS[:2]
#: What a stock libtpms makes: it has SM2 and no SM3.
USABLE = [suite for suite in SUITES.values() if suite.hash.name == "sha256"]
#: tpm2_checkquote knows no SM2 keys.
CHECKED_BY_TOOLS = [suite for suite in USABLE if suite.scheme != TPM_ALG_SM2]
TRANSIENT, LOADED_SESSION, SAVED_SESSION = 0x80000000, 0x02000000, 0x03000000


@pytest.fixture
def tpm(swtpm: str) -> Iterator[Tpm]:
    with open_tpm(swtpm) as opened:
        yield opened


@pytest.fixture
def ak(tpm: Tpm) -> AttestationKey:
    return create_ak(tpm, ECC_P256_SHA256, "rsa2048")


def known(tpm: Tpm, ak: AttestationKey) -> KnownHost:
    return KnownHost(ak, read_ek(tpm, ak.ek_kind).public)


def in_use(tpm: Tpm) -> list[int]:
    """Return every transient object and session that the TPM holds."""
    found = []
    with tpm.connected() as esys:
        for first in (TRANSIENT, LOADED_SESSION, SAVED_SESSION):
            _, answer = esys.get_capability(TPM2_CAP.HANDLES, first, 64)
            handles = answer.data.handles
            found += [int(handles[i]) for i in range(handles.count)]
    return found


def test_ek_is_the_one_its_certificate_vouches_for(tpm, emulated_tpm):
    ek = read_ek(tpm)
    assert ek.kind == "rsa2048"
    verify_ek_certificate(ek.certificate, ek.public, emulated_tpm.ca_bundle, datetime.now(UTC))


def test_certificate_in_nv_decides_which_ek_is_the_hosts(tpm):
    tools(tpm, "nvundefine", "0x01C00002", "-C", "p")
    found = read_ek(tpm)
    assert (found.kind, bool(found.certificate)) == ("ecc-p384", True)
    tools(tpm, "nvundefine", "0x01C00016", "-C", "p")
    found = read_ek(tpm)
    assert (found.kind, found.certificate) == ("ecc-p256", None)


def test_cve_2021_3406_ek_of_another_tpm_is_not_covered_by_the_certificate(tpm, swtpm_factory):
    other = swtpm_factory()
    stolen = read_ek(tpm).certificate
    with pytest.raises(errors.EkCertificateForeign):
        verify_ek_certificate(
            stolen, read_ek(Tpm(other.tcti)).public, other.ca_bundle, datetime.now(UTC)
        )


def test_eks_are_those_that_tpm2_tools_make_from_the_tcg_templates(tpm, tmp_path):
    for kind, name in (("rsa2048", "rsa"), ("ecc-p256", "ecc")):
        tools(tpm, "createek", "-G", name, "-c", tmp_path / f"{name}.ctx", "-u", tmp_path / name)
        tools(tpm, "flushcontext", "-t")
        assert (tmp_path / name).read_bytes() == sized(read_ek(tpm, kind).public)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suite", USABLE, ids=lambda suite: suite.name)
def test_quote_of_every_suite_under_every_ek_verifies(tpm, kind, suite):
    ak = create_ak(tpm, suite, kind)
    check_ak(ak.public, suite)
    nonce = secrets.token_bytes(32)
    quote = take_quote(tpm, ak, nonce, TWO_BANKS)
    facts = verify_quote(quote, ak.public, nonce, TWO_BANKS, read_ek(tpm, kind).public)
    assert facts.pcrs == read_pcrs(tpm, TWO_BANKS)
    assert facts.reset_count == read_clock(tpm).reset_count


@pytest.mark.parametrize("suite", CHECKED_BY_TOOLS, ids=lambda suite: suite.name)
def test_tpm2_checkquote_agrees(tpm, suite, tmp_path):
    ak = create_ak(tpm, suite, "ecc-p256")
    nonce = secrets.token_bytes(32)
    quote = take_quote(tpm, ak, nonce, SELECTION)
    assert checkquote(tmp_path, ak, quote, nonce).returncode == 0
    altered = bytearray(quote.signature)
    altered[11] ^= 1
    forged = replace(quote, signature=bytes(altered))
    assert checkquote(tmp_path, ak, forged, nonce).returncode != 0
    with pytest.raises(errors.QuoteError):
        verify_quote(forged, ak.public, nonce, SELECTION)


def test_quote_of_another_tpm_is_refused(tpm, ak, swtpm_factory):
    other = Tpm(swtpm_factory().tcti)
    foreign = take_quote(other, create_ak(other, ECC_P256_SHA256, "rsa2048"), b"n" * 32, SELECTION)
    ek = read_ek(tpm, "rsa2048").public
    with pytest.raises(errors.SignerForeign):
        verify_quote(foreign, ak.public, b"n" * 32, SELECTION, ek)
    with pytest.raises(errors.SignatureWrong):
        verify_quote(foreign, ak.public, b"n" * 32, SELECTION)


def test_quote_over_fewer_pcrs_or_an_absent_bank_is_refused(tpm, ak):
    fewer = take_quote(tpm, ak, b"n" * 32, {"sha256": [0, 1]})
    with pytest.raises(errors.SelectionMismatch):
        verify_quote(fewer, ak.public, b"n" * 32, SELECTION)
    absent = {"sha384": [0, 7]}
    with pytest.raises(errors.SelectionMismatch):
        verify_quote(take_quote(tpm, ak, b"n" * 32, absent), ak.public, b"n" * 32, absent)


def test_pcr_values_other_than_quoted_are_refused(tpm, ak):
    quote = take_quote(tpm, ak, b"n" * 32, SELECTION)
    quote.pcrs["sha256"][4] = bytes(31) + b"\1"
    with pytest.raises(errors.PcrDigestMismatch):
        verify_quote(quote, ak.public, b"n" * 32, SELECTION)


def test_power_cycle_counts_up_and_the_ak_stays(tpm, ak, emulated_tpm):
    extend_pcr(tpm, 8, {"sha256": b"\7" * 32})
    before = verify_quote(take_quote(tpm, ak, b"n", SELECTION), ak.public, b"n", SELECTION)
    emulated_tpm.power_cycle()
    after = verify_quote(take_quote(tpm, ak, b"n", SELECTION), ak.public, b"n", SELECTION)
    assert after.reset_count > before.reset_count
    assert before.pcrs["sha256"][8] != after.pcrs["sha256"][8] == bytes(32)


def test_ak_of_another_tpm_is_lost_here(ak, swtpm_factory):
    with pytest.raises(KeyLost):
        check_ak_loads(Tpm(swtpm_factory().tcti), ak)


@pytest.mark.parametrize("kind", KINDS)
def test_credential_opens_in_its_tpm(tpm, kind):
    ak = create_ak(tpm, ECC_P256_SHA256, kind)
    secret = secrets.token_bytes(32)
    blob, encrypted = make_credential(read_ek(tpm, kind).public, name_of(ak.public), secret)
    assert activate_credential(tpm, known(tpm, ak), blob, encrypted) == secret


@pytest.mark.parametrize("kind", KNOWN_TO_OTHERS)
def test_credential_of_tpm2_pytss_opens_the_same_way(tpm, kind):
    ak = create_ak(tpm, RSA2048_SHA256, kind)
    public, _ = TPMT_PUBLIC.unmarshal(read_ek(tpm, kind).public)
    blob, encrypted = pytss_make_credential(
        TPM2B_PUBLIC(publicArea=public), b"s" * 32, TPM2B_NAME(name_of(ak.public))
    )
    assert (
        activate_credential(tpm, known(tpm, ak), blob.marshal(), encrypted.marshal()) == b"s" * 32
    )


@pytest.mark.parametrize("kind", KNOWN_TO_OTHERS)
def test_credential_of_tpm2_makecredential_has_the_same_sizes_and_opens(tpm, kind, tmp_path):
    ak = create_ak(tpm, ECC_P256_SHA256, kind)
    (tmp_path / "ek").write_bytes(sized(read_ek(tpm, kind).public))
    (tmp_path / "secret").write_bytes(b"s" * 32)
    subprocess.run(
        ["tpm2_makecredential", "-T", "none", "-u", "ek", "-s", "secret"]
        + ["-n", name_of(ak.public).hex(), "-o", "out"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    out = (tmp_path / "out").read_bytes()[8:]
    size = 2 + int.from_bytes(out[:2], "big")
    ours = make_credential(read_ek(tpm, kind).public, name_of(ak.public), b"s" * 32)
    assert len(ours[0]) == size
    # The tool leaves leading zeros of its point's coordinates out, one in 128 times.
    assert 0 <= len(ours[1]) - (len(out) - size) <= 3
    assert activate_credential(tpm, known(tpm, ak), out[:size], out[size:]) == b"s" * 32


def test_credential_for_another_ak_or_tpm_is_refused(tpm, ak, swtpm_factory):
    ek = read_ek(tpm, "rsa2048").public
    other_ak = create_ak(tpm, ECC_P256_SHA256, "rsa2048")
    other_ek = read_ek(Tpm(swtpm_factory().tcti), "rsa2048").public
    for made in (
        make_credential(ek, name_of(other_ak.public), b"s" * 32),
        make_credential(other_ek, name_of(ak.public), b"s" * 32),
    ):
        with pytest.raises(CredentialRefused):
            activate_credential(tpm, known(tpm, ak), *made)
    assert in_use(tpm) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("selection", [SELECTION, TWO_BANKS], ids=["one bank", "two banks"])
def test_wrapped_key_opens_here_until_a_pcr_changes(tpm, kind, selection):
    key = secrets.token_bytes(64)
    wrapped = wrap_for_host(read_ek(tpm, kind).public, key, selection, read_pcrs(tpm, selection))
    host = known(tpm, create_ak(tpm, ECC_P256_SHA256, kind))
    assert unwrap_key(tpm, host, wrapped) == key
    extend_pcr(tpm, 9, {"sha256": b"\1" * 32})
    with pytest.raises(UnwrapRefused):
        unwrap_key(tpm, host, wrapped)
    assert in_use(tpm) == []


@pytest.mark.parametrize("kind", KINDS)
def test_wrapped_key_is_refused_by_another_tpm_in_the_same_state(tpm, kind, swtpm_factory):
    other = Tpm(swtpm_factory().tcti)
    values = read_pcrs(tpm, SELECTION)
    assert values == read_pcrs(other, SELECTION)
    wrapped = wrap_for_host(read_ek(tpm, kind).public, b"k" * 32, SELECTION, values)
    host = known(tpm, create_ak(tpm, ECC_P256_SHA256, kind))
    with pytest.raises(UnwrapRefused):
        unwrap_key(other, host, wrapped)
    assert in_use(other) == []


def test_altered_wrapped_key_is_refused(tpm, ak):
    host = known(tpm, ak)
    values = read_pcrs(tpm, SELECTION)
    wrapped = wrap_for_host(read_ek(tpm, "rsa2048").public, b"k" * 32, SELECTION, values)
    for part in ("public", "duplicate", "encrypted_seed"):
        altered = bytearray(getattr(wrapped, part))
        altered[-1] ^= 1
        with pytest.raises(UnwrapRefused):
            unwrap_key(tpm, host, replace(wrapped, **{part: bytes(altered)}))


def test_wrapped_key_says_nothing_of_the_key(tpm):
    values = read_pcrs(tpm, SELECTION)
    key = b"a key that must not be seen" * 2
    wrapped = wrap_for_host(read_ek(tpm, "rsa2048").public, key, SELECTION, values)
    assert key[:8] not in wrapped.public + wrapped.duplicate + wrapped.encrypted_seed


def test_policy_digest_is_that_of_tpm2_policypcr(tpm, tmp_path):
    tools(tpm, "startauthsession", "-S", tmp_path / "session")
    eight = {"sha256": list(range(8))}  # tpm2_policypcr takes no more
    pcrs = "sha256:0,1,2,3,4,5,6,7"
    tools(tpm, "policypcr", "-S", tmp_path / "session", "-l", pcrs, "-L", tmp_path / "policy")
    tools(tpm, "flushcontext", tmp_path / "session")
    expected = policy_pcr(eight, read_pcrs(tpm, eight))
    assert (tmp_path / "policy").read_bytes() == expected


def test_pcr_extend_and_read_agree_with_tpm2_tools(tpm, tmp_path):
    extend_pcr(tpm, 16, {"sha256": b"\1" * 32, "sha1": b"\2" * 20})
    tools(tpm, "pcrread", "sha256:0,16", "-o", tmp_path / "values")
    values = read_pcrs(tpm, {"sha256": [0, 16]})["sha256"]
    assert (tmp_path / "values").read_bytes() == values[0] + values[16]
    assert set(active_banks(tpm)) == {"sha1", "sha256"}
    with pytest.raises(InputError):
        extend_pcr(tpm, 16, {"sha256": b"\1" * 31})


def test_tpm_that_is_away_is_one_clear_error(tpm, emulated_tpm):
    emulated_tpm.power_off()
    with pytest.raises(TpmUnreachable) as caught:
        read_clock(Tpm(emulated_tpm.tcti, patience=0.1))
    assert caught.value.remedy
    for absent in ("device:/dev/there-is-none", "swtpm:host=127.0.0.1,port=1", "mssim:port=1"):
        with pytest.raises(TpmUnreachable) as caught:
            read_clock(Tpm(absent, patience=0.1))
        assert absent in caught.value.reason


def tools(tpm: Tpm, command: str, *args: object) -> None:
    done = subprocess.run(
        [f"tpm2_{command}", "-T", tpm.tcti, *map(str, args)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def checkquote(
    folder: Path, ak: AttestationKey, quote: Quote, nonce: bytes
) -> subprocess.CompletedProcess[bytes]:
    (folder / "ak").write_bytes(sized(ak.public))
    (folder / "msg").write_bytes(quote.attest)
    (folder / "sig").write_bytes(quote.signature)
    (folder / "pcrs").write_bytes(tool_values(quote))
    return subprocess.run(
        ["tpm2_checkquote", "-u", "ak", "-m", "msg", "-s", "sig", "-f", "pcrs"]
        + ["-g", "sha256", "-q", nonce.hex()],
        cwd=folder,
        capture_output=True,
    )


def tool_values(quote: Quote) -> bytes:
    """Return the values as tpm2_quote --pcrs_format=serialized writes them (host byte order)."""
    selection = b""
    for bank in quote.pcrs:
        bits = sum(1 << index for index in quote.pcrs[bank])
        selection += b"\x0b\0" + b"\3" + bits.to_bytes(3, "little") + bytes(2)
    selection = selection.ljust(16 * 8, b"\0")
    flat = [value for values in quote.pcrs.values() for _, value in sorted(values.items())]
    groups = [flat[i : i + 8] for i in range(0, len(flat), 8)]
    out = len(quote.pcrs).to_bytes(4, "little") + selection + len(groups).to_bytes(4, "little")
    for group in groups:
        out += len(group).to_bytes(4, "little")
        for slot in range(8):
            value = group[slot] if slot < len(group) else b""
            out += len(value).to_bytes(2, "little") + value.ljust(64, b"\0")
    return out


def test_public_area_of_the_tpm_decodes_wholly(ak):
    assert decode_public(ak.public).attributes == 0x00050072
    with pytest.raises(errors.StructureError):
        decode_public(ak.public + uint(0, 1))
