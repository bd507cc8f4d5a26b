# SPDX-License-Identifier: Apache-2.0
"""Sessions, policies, NV and certification against a real TPM emulator and tpm2-tools."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from tpm2_pytss import ESYS_TR, TPM2B_SENSITIVE_CREATE

from e2etrust_core.errors import InputError
from e2etrust_core.evidence import errors
from e2etrust_core.evidence.certified import (
    Certifier,
    verify_certified_key,
    verify_certified_nv,
)
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.ek_certificate import read_ek_certificate, verify_ek_certificate
from e2etrust_core.evidence.key_wrap import wrap_for_host
from e2etrust_core.evidence.object_policy import (
    Approval,
    Authorized,
    CounterAtMost,
    PcrsAre,
    SecretKnown,
    policy_digest,
    to_be_signed,
)
from e2etrust_core.evidence.public_areas import ek_areas_of
from e2etrust_core.evidence.quote import verify_quote
from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import (
    SIGN,
    USER_WITH_AUTH,
    decode_public,
    name_of,
    public_key_of,
)
from e2etrust_core.suites import ECC_P256_SHA256, SM2_SHA256
from e2etrust_core.tpm.certify import certify_key, certify_nv
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import Tpm, flushed, open_tpm
from e2etrust_core.tpm.ek_nv import read_ek_chain
from e2etrust_core.tpm.ek_templates import EK_TEMPLATES
from e2etrust_core.tpm.errors import (
    EkKindUnsupported,
    KeyLost,
    NvFailed,
    PolicyUnsatisfied,
    SaltKeyForeign,
)
from e2etrust_core.tpm.key_unwrap import unwrap_key
from e2etrust_core.tpm.keys import create_ak, loaded_ek, read_ek
from e2etrust_core.tpm.nv import (
    define_nv,
    extend_nv,
    increment_nv,
    nv_index,
    read_counter,
    read_nv,
    undefine_nv,
    write_nv,
)
from e2etrust_core.tpm.pcr import extend_pcr, read_pcrs
from e2etrust_core.tpm.quote import take_quote
from e2etrust_core.tpm.salt_key import KnownHost
from e2etrust_core.tpm.sealing import satisfy, seal, unseal
from e2etrust_core.tpm.sessions import encrypted_session, policy_session
from tests.functional.core.mssim_bridge import MssimBridge, swtpm_at
from tests.functional.core.test_tpm import in_use, tools
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.unit.core.evidence.test_ek_certificate import ROOT, Sm2Authority, certify
from tests.unit.core.evidence.test_ek_certificate import Authority as Authority509
from tests.unit.core.evidence.test_ek_chain import der
from tests.unit.core.software_tpm import NULL, SHA256, ecc_public

SECRET = b"sixteen bytes or so"
SELECTION = {"sha256": [7, 16]}
ENDORSEMENT, OWNER = 0x4000000B, 0x40000001
INDEX = 0x01800010


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedTpm]:
    """One TPM for all: what a test makes in it, it does not hold against another's."""
    home = tmp_path_factory.mktemp("chip")
    with tempfile.TemporaryDirectory(prefix="tpm") as sockets:
        made = EmulatedTpm(home / "tpm", home / "ca", Path(sockets) / "0")
        made.manufacture()
        made.power_on()
        yield made
        made.power_off()


@pytest.fixture
def tpm(chip: EmulatedTpm) -> Iterator[Tpm]:
    with open_tpm(chip.tcti) as opened:
        yield opened
        assert in_use(opened) == []
        with contextlib.suppress(NvFailed):
            undefine_nv(opened, INDEX)


class Authority:
    """Signs approvals with a key of its own."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        scheme = uint(0x0018, 2) + SHA256
        self.public = ecc_public(self.key, SIGN | USER_WITH_AUTH, NULL + scheme)

    def approve(self, steps, purpose: bytes) -> Authorized:
        signed = self.key.sign(to_be_signed(steps, purpose), ec.ECDSA(Prehashed(hashes.SHA256())))
        r, s = (sized(n.to_bytes(32, "big")) for n in decode_dss_signature(signed))
        signature = uint(0x0018, 2) + SHA256 + r + s
        return Authorized(self.public, purpose, Approval(steps, signature))


def pcrs(tpm: Tpm) -> PcrsAre:
    return PcrsAre(SELECTION, read_pcrs(tpm, SELECTION))


@pytest.mark.parametrize("kind", ["rsa2048", "ecc-p256"])
def test_sealed_secret_opens_until_a_pcr_changes(tpm, kind):
    ek, steps = read_ek(tpm, kind), (pcrs(tpm), SecretKnown(ENDORSEMENT))
    sealed = seal(tpm, ek, SECRET, steps)
    assert unseal(tpm, ek, sealed, steps) == SECRET
    with pytest.raises(PolicyUnsatisfied):
        unseal(tpm, ek, sealed, steps[:1])
    extend_pcr(tpm, 16, {"sha256": bytes(32)})
    with pytest.raises(PolicyUnsatisfied) as caught:
        unseal(tpm, ek, sealed, steps)
    assert caught.value.remedy


def test_sealed_secret_is_of_its_tpm_alone(tpm, swtpm_factory):
    ek, steps = read_ek(tpm, "ecc-p256"), (pcrs(tpm),)
    sealed = seal(tpm, ek, SECRET, steps)
    with open_tpm(swtpm_factory().tcti) as other:
        with pytest.raises(SaltKeyForeign):
            unseal(other, ek, sealed, steps)
        with pytest.raises(KeyLost):
            unseal(other, read_ek(other, "ecc-p256"), sealed, steps)
        with pytest.raises(SaltKeyForeign):
            seal(other, ek, SECRET, steps)


def test_what_would_protect_nothing_is_refused(tpm):
    with pytest.raises(InputError):
        seal(tpm, read_ek(tpm, "ecc-p256"), SECRET, ())
    with pytest.raises(InputError):
        seal(tpm, read_ek(tpm, "ecc-p256"), b"", (pcrs(tpm),))


def test_every_policy_digest_is_the_tpms_own(tpm):
    increment_nv(tpm, define_nv(tpm, INDEX, "counter").number)
    counter = CounterAtMost(INDEX, nv_index(tpm, INDEX).name, read_counter(tpm, INDEX))
    approved = Authority().approve((pcrs(tpm), counter), b"purpose")
    secret = SecretKnown(OWNER)
    for steps in ((pcrs(tpm),), (secret,), (counter,), (approved,), (approved, secret, counter)):
        with tpm.connected() as esys, policy_session(esys) as session:
            for step in steps:
                satisfy(esys, session, step)
            assert bytes(esys.policy_get_digest(session)) == policy_digest(steps)


def test_authority_approves_a_new_pcr_state_for_what_was_sealed_before(tpm):
    ek, authority = read_ek(tpm, "ecc-p256"), Authority()
    old = authority.approve((pcrs(tpm),), b"host keys")
    sealed = seal(tpm, ek, SECRET, (Authorized(authority.public, b"host keys"),))
    assert unseal(tpm, ek, sealed, (old,)) == SECRET
    extend_pcr(tpm, 16, {"sha256": bytes(32)})
    with pytest.raises(PolicyUnsatisfied):
        unseal(tpm, ek, sealed, (old,))
    new = authority.approve((pcrs(tpm),), b"host keys")
    assert unseal(tpm, ek, sealed, (new,)) == SECRET


def test_approval_that_is_missing_foreign_or_for_another_purpose_opens_nothing(tpm):
    ek, authority = read_ek(tpm, "ecc-p256"), Authority()
    empty = Authorized(authority.public, b"host keys")
    sealed = seal(tpm, ek, SECRET, (empty,))
    foreign = Authority().approve((pcrs(tpm),), b"host keys")
    other_use = authority.approve((pcrs(tpm),), b"other")
    borrowed = replace(empty, approval=foreign.approval)
    for step in (empty, foreign, other_use, borrowed):
        with pytest.raises(PolicyUnsatisfied):
            unseal(tpm, ek, sealed, (step,))


def test_approved_pcr_state_is_taken_back_by_counting_up(tpm):
    ek, authority = read_ek(tpm, "ecc-p256"), Authority()
    define_nv(tpm, INDEX, "counter")
    increment_nv(tpm, INDEX)
    name = nv_index(tpm, INDEX).name

    def approve() -> Authorized:
        now = CounterAtMost(INDEX, name, read_counter(tpm, INDEX))
        return authority.approve((pcrs(tpm), now), b"host keys")

    old = approve()
    sealed = seal(tpm, ek, SECRET, (Authorized(authority.public, b"host keys"),))
    assert unseal(tpm, ek, sealed, (old,)) == SECRET
    increment_nv(tpm, INDEX)
    with pytest.raises(PolicyUnsatisfied):
        unseal(tpm, ek, sealed, (old,))
    assert unseal(tpm, ek, sealed, (approve(),)) == SECRET


@pytest.mark.parametrize("kind", ["rsa2048", "ecc-p256"])
def test_salted_session_is_for_the_key_that_is_known_only(tpm, kind):
    known = name_of(read_ek(tpm, kind).public)
    with tpm.connected() as esys, loaded_ek(tpm, esys, kind) as key:
        with encrypted_session(esys, key, known) as session:
            assert len(bytes(esys.get_random(16, session1=session))) == 16
        other = known[:-1] + bytes([known[-1] ^ 1])
        with pytest.raises(SaltKeyForeign), encrypted_session(esys, key, other):
            pass


def test_nv_index_is_written_and_read_as_tpm2_tools_do(tpm, tmp_path):
    data = secrets.token_bytes(1500)
    assert define_nv(tpm, INDEX, "ordinary", 1500).size == 1500
    with pytest.raises(NvFailed):
        read_nv(tpm, INDEX)
    write_nv(tpm, INDEX, data)
    write_nv(tpm, INDEX, b"again", offset=700)
    assert read_nv(tpm, INDEX) == data[:700] + b"again" + data[705:]
    tools(tpm, "nvread", hex(INDEX), "-o", tmp_path / "nv")
    assert (tmp_path / "nv").read_bytes() == read_nv(tpm, INDEX)
    with pytest.raises(NvFailed):
        define_nv(tpm, INDEX, "ordinary", 8)
    with pytest.raises(NvFailed):
        write_nv(tpm, INDEX, b"12", offset=1499)
    with pytest.raises(NvFailed):
        increment_nv(tpm, INDEX)
    undefine_nv(tpm, INDEX)
    with pytest.raises(NvFailed):
        read_nv(tpm, INDEX)


def test_nv_counter_counts_and_never_starts_again(tpm):
    for _ in range(2):
        define_nv(tpm, INDEX, "counter")
        increment_nv(tpm, INDEX)
        increment_nv(tpm, INDEX)
        last = read_counter(tpm, INDEX)
        undefine_nv(tpm, INDEX)
    define_nv(tpm, INDEX, "counter")
    increment_nv(tpm, INDEX)
    assert read_counter(tpm, INDEX) > last


def test_nv_index_that_is_extended_chains_what_it_was_given(tpm):
    define_nv(tpm, INDEX, "extend")
    value = bytes(32)
    for data in (b"one", b"two"):
        extend_nv(tpm, INDEX, data)
        value = hashlib.sha256(value + data).digest()
    assert read_nv(tpm, INDEX) == value
    with pytest.raises(NvFailed):
        write_nv(tpm, INDEX, bytes(32))


@pytest.mark.parametrize(("number", "size"), [(0x01C00002, 8), (INDEX, 0), (INDEX, 70000)])
def test_nv_index_that_is_not_the_owners_or_has_no_size_is_refused(tpm, number, size):
    with pytest.raises(InputError):
        define_nv(tpm, number, "ordinary", size)


@pytest.mark.parametrize("suite", [ECC_P256_SHA256, SM2_SHA256], ids=lambda suite: suite.name)
def test_certified_nv_contents_hold_for_that_index_ak_and_nonce_only(tpm, suite):
    ek, ak, nonce = read_ek(tpm, "rsa2048"), create_ak(tpm, suite, "rsa2048"), b"nonce"
    define_nv(tpm, INDEX, "extend")
    extend_nv(tpm, INDEX, b"event")
    name = nv_index(tpm, INDEX).name
    certified = certify_nv(tpm, ak, INDEX, nonce)
    who = Certifier(ak.public, ek.public, nonce)
    found = verify_certified_nv(certified, who, name)
    assert (found.offset, found.contents) == (0, read_nv(tpm, INDEX))
    with pytest.raises(errors.CertifiedOther):
        verify_certified_nv(certified, who, name[:-1] + bytes([name[-1] ^ 1]))
    with pytest.raises(errors.NonceMismatch):
        verify_certified_nv(certified, replace(who, qualifying=b"other"), name)
    other = create_ak(tpm, suite, "rsa2048")
    with pytest.raises(errors.SignerForeign):
        verify_certified_nv(certified, replace(who, ak_public=other.public), name)
    altered = certified.attest[:-1] + bytes([certified.attest[-1] ^ 1])
    with pytest.raises(errors.SignatureWrong):
        verify_certified_nv(replace(certified, attest=altered), who, name)
    with pytest.raises(errors.QuoteTypeWrong):
        verify_certified_key(certified, who, ak.public)


def test_certified_key_is_held_by_that_tpm(tpm):
    ek, ak = read_ek(tpm, "ecc-p256"), create_ak(tpm, ECC_P256_SHA256, "ecc-p256")
    key = create_ak(tpm, ECC_P256_SHA256, "rsa2048")
    certified = certify_key(tpm, ak, key, b"nonce")
    who = Certifier(ak.public, ek.public, b"nonce")
    verify_certified_key(certified, who, key.public)
    with pytest.raises(errors.CertifiedOther):
        verify_certified_key(certified, who, ak.public)


def test_session_is_closed_whatever_happens_in_it(tpm):
    with (
        pytest.raises(ZeroDivisionError),
        tpm.connected() as esys,
        loaded_ek(tpm, esys, "ecc-p256") as key,
        encrypted_session(esys, key, name_of(read_ek(tpm, "ecc-p256").public)),
        policy_session(esys),
    ):
        raise ZeroDivisionError
    assert in_use(tpm) == []


@pytest.mark.parametrize("kind", ["rsa2048", "ecc-p256"])
def test_secret_does_not_cross_the_bus_in_the_clear(tpm, kind, tmp_path, monkeypatch):
    ek, steps, secret = read_ek(tpm, kind), (pcrs(tpm),), secrets.token_bytes(64)
    monkeypatch.setenv("TCTI_PCAP_FILE", str(tmp_path / "bus"))
    with Tpm(f"pcap:{tpm.tcti}") as tapped:
        assert unseal(tapped, ek, seal(tapped, ek, secret, steps), steps) == secret
        write_nv(tapped, define_nv(tapped, INDEX, "ordinary", 64).number, bytes(range(64)))
    bus = (tmp_path / "bus").read_bytes()
    assert bytes(range(64)) in bus  # the tap is in the right place
    assert secret[:16] not in bus


def test_tpm_is_reached_over_the_simulators_protocol(chip, tpm):
    before = read_ek(tpm, "ecc-p256")
    with (
        MssimBridge(swtpm_at(chip.socket)) as bridge,
        open_tpm(f"mssim:host=127.0.0.1,port={bridge.port}") as other,
    ):
        assert read_ek(other, "ecc-p256") == before
        assert in_use(other) == []


@pytest.mark.parametrize("kind", ["rsa2048", "ecc-p384"])
def test_public_area_of_a_certified_key_is_known_from_its_certificate(tpm, kind):
    ek = read_ek(tpm, kind)
    assert ek_areas_of(read_ek_certificate(ek.certificate).key) == {kind: ek.public}


def test_certified_p384_key_is_the_one_that_its_template_makes(tpm, chip):
    """swtpm_setup made key and certificate, and left the key behind where provisioning does."""
    ek = read_ek(tpm, "ecc-p384")
    verify_ek_certificate(ek.certificate, ek.public, chip.ca_bundle, datetime.now(UTC))
    with tpm.connected() as esys:
        made, public, *_ = esys.create_primary(
            TPM2B_SENSITIVE_CREATE(), EK_TEMPLATES["ecc-p384"].tss, ESYS_TR.ENDORSEMENT
        )
        with flushed(esys, made):
            assert public.publicArea.marshal() == ek.public


@pytest.mark.parametrize("kind", ["ecc-p384", "rsa3072"])
def test_keys_of_the_high_range_do_all_that_an_ek_has_to(tpm, kind):
    ek, ak = read_ek(tpm, kind), create_ak(tpm, ECC_P256_SHA256, kind)
    host, selection = KnownHost(ak, ek.public), {"sha256": [7]}
    credential = make_credential(ek.public, name_of(ak.public), SECRET)
    assert activate_credential(tpm, host, *credential) == SECRET
    quote = take_quote(tpm, ak, b"nonce", selection)
    facts = verify_quote(quote, ak.public, b"nonce", selection, ek.public)
    wrapped = wrap_for_host(ek.public, SECRET, selection, facts.pcrs)
    assert unwrap_key(tpm, host, wrapped) == SECRET
    assert unseal(tpm, ek, seal(tpm, ek, SECRET, (pcrs(tpm),)), (pcrs(tpm),)) == SECRET


def test_kind_that_the_tpm_has_no_algorithms_for_is_named(tpm):
    with pytest.raises(EkKindUnsupported, match="sm2-sm3"):
        read_ek(tpm, "sm2-sm3")


def test_certificate_of_the_sm2_ek_is_read_from_nv_and_chains(tpm, tmp_path):
    ek = read_ek(tpm, "sm2")
    assert ek.certificate is None
    authority = Sm2Authority(tmp_path)
    certificate = certify_sm2_ek(authority, ek.public)
    area = certificate + b"\xff" * 100
    (tmp_path / "area").write_bytes(area)
    tools(tpm, "nvdefine", "0x01C0001A", "-C", "o", "-s", len(area))
    try:
        tools(tpm, "nvwrite", "0x01C0001A", "-C", "o", "-i", tmp_path / "area")
        found = read_ek(tpm, "sm2")
        assert found.certificate == area
        now = datetime.now(UTC)
        verify_ek_certificate(found.certificate, found.public, authority.pem, now)
        with pytest.raises(errors.EkCertificateForeign):
            verify_ek_certificate(
                found.certificate, read_ek(tpm, "ecc-p256").public, authority.pem, now
            )
    finally:
        tools(tpm, "nvundefine", "0x01C0001A", "-C", "o")


def certify_sm2_ek(authority: Sm2Authority, public: bytes) -> bytes:
    """Return a certificate of the EK, whose private key no command has."""
    key = public_key_of(decode_public(public))
    point = b"\4" + key.x.to_bytes(32, "big") + key.y.to_bytes(32, "big")
    head = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
    encoded = b64encode(head + point).decode()
    (authority.folder / "tpm.pem").write_text(
        f"-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n"
    )
    return authority.certify(force_key="tpm.pem")


def test_chain_that_a_tpm_carries_is_read_from_its_indices_and_leads_to_the_root(tpm, tmp_path):
    """As an fTPM has it: longer than one index, so that a certificate goes on in the next."""
    assert read_ek_chain(tpm) == b""
    upper = Authority509("upper", ROOT)
    lower = Authority509("lower", upper)
    ek, now = read_ek(tpm, "ecc-p256"), datetime(2026, 6, 1, tzinfo=UTC)
    certificate = certify(lower, key=PublicOnly(public_key_of(decode_public(ek.public))))
    chain = der(lower, upper)
    parts = {0x01C00100: chain[:600], 0x01C00101: chain[600:] + b"\xff" * 50}
    try:
        for number, part in parts.items():
            (tmp_path / "part").write_bytes(part)
            tools(tpm, "nvdefine", hex(number), "-C", "o", "-s", len(part))
            tools(tpm, "nvwrite", hex(number), "-C", "o", "-i", tmp_path / "part")
        found = read_ek_chain(tpm)
        assert found == b"".join(parts.values())
        verify_ek_certificate(certificate, ek.public, ROOT.pem, now, found)
        with pytest.raises(errors.EkIssuerUnknown):
            verify_ek_certificate(certificate, ek.public, ROOT.pem, now)
        tools(tpm, "nvdefine", "0x01C00102", "-C", "o", "-s", 8)  # and never written
        assert read_ek_chain(tpm) == found
        tools(tpm, "nvundefine", "0x01C00102", "-C", "o")
    finally:
        for number in parts:
            tools(tpm, "nvundefine", hex(number), "-C", "o")


class PublicOnly:
    """A key to be certified, whose private part no command has."""

    def __init__(self, key) -> None:
        self._key = key

    def public_key(self):
        return self._key
