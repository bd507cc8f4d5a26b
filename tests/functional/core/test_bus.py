# SPDX-License-Identifier: Apache-2.0
"""What somebody on the TPM's bus learns and achieves, and what is left after a command failed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.certified import Certified
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.key_wrap import wrap_for_host
from e2etrust_core.evidence.object_policy import PcrsAre, SecretKnown
from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_core.suites import ECC_P256_SHA256, SM2_SHA256
from e2etrust_core.tpm.certify import certify_key, certify_nv
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import Tpm, open_tpm
from e2etrust_core.tpm.ek_templates import EkKind
from e2etrust_core.tpm.errors import SaltKeyForeign, TpmError
from e2etrust_core.tpm.key_unwrap import unwrap_key
from e2etrust_core.tpm.keys import create_ak, read_ek
from e2etrust_core.tpm.nv import define_nv, undefine_nv, write_nv
from e2etrust_core.tpm.pcr import read_pcrs
from e2etrust_core.tpm.quote import take_quote
from e2etrust_core.tpm.salt_key import KnownHost
from e2etrust_core.tpm.sealing import seal, unseal
from tests.functional.core.interposer import Interposer, code_of
from tests.functional.core.test_tpm import in_use
from tests.functional.swtpm_fixture import EmulatedTpm

KINDS = ("rsa2048", "ecc-p256", "sm2")
SELECTION = {"sha256": [0, 7]}
SECRET = secrets.token_bytes(32)
INDEX = 0x01800020
#: TPM 2.0 Library Part 2, 6.5.2.
ACTIVATE_CREDENTIAL, UNSEAL, CERTIFY, FLUSH_CONTEXT = 0x147, 0x15E, 0x148, 0x165
#: TPM_RC_FAILURE, and TPM_RC_HANDLE of handle 1: the TPM's own trouble, and a refusal.
FAILURE, REFUSAL = 0x101, 0x18B


@pytest.fixture
def bus(chip: EmulatedTpm) -> Iterator[Interposer]:
    with Interposer(chip.socket, Path(f"{chip.socket}.bus")) as between:
        yield between


def known(tpm: Tpm, kind: EkKind) -> KnownHost:
    suite = SM2_SHA256 if kind == "sm2" else ECC_P256_SHA256
    return KnownHost(create_ak(tpm, suite, kind), read_ek(tpm, kind).public)


def activate(tpm: Tpm, host: KnownHost) -> bytes:
    made = make_credential(host.ek_public, name_of(host.ak.public), SECRET)
    return activate_credential(tpm, host, *made)


def unwrap(tpm: Tpm, host: KnownHost) -> bytes:
    wrapped = wrap_for_host(host.ek_public, SECRET, SELECTION, read_pcrs(tpm, SELECTION))
    return unwrap_key(tpm, host, wrapped)


def seal_and_unseal(tpm: Tpm, kind: EkKind) -> bytes:
    steps = (PcrsAre(SELECTION, read_pcrs(tpm, SELECTION)), SecretKnown(0x4000000B))
    ek = read_ek(tpm, kind)
    return unseal(tpm, ek, seal(tpm, ek, SECRET, steps), steps)


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_crosses_the_bus_in_the_clear(bus, kind):
    with open_tpm(bus.tcti) as tpm:
        host = known(tpm, kind)
        assert activate(tpm, host) == unwrap(tpm, host) == SECRET
        if kind != "sm2":
            assert seal_and_unseal(tpm, kind) == SECRET
        assert host.ak.public in b"".join(bus.seen)  # it does see what crosses
        assert not any(SECRET[:8] in one or SECRET[-8:] in one for one in bus.seen)
        assert in_use(tpm) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("code", "work"), [(ACTIVATE_CREDENTIAL, activate), (UNSEAL, unwrap)], ids=["credential", "key"]
)
def test_answer_that_was_altered_on_the_bus_is_no_secret(bus, kind, code, work):
    def alter(command: bytes, answer: bytes) -> bytes:
        # Behind the header, the size of the parameters and of the secret: its first byte.
        at = 10 + 4 + 2
        if code_of(command) != code:
            return answer
        altered.append(command)
        return answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]

    altered: list[bytes] = []
    with open_tpm(bus.tcti) as tpm:
        host = known(tpm, kind)
        bus.alter = alter
        with pytest.raises(TpmError):
            work(tpm, host)
        assert len(altered) == 1
        assert in_use(tpm) == []


@pytest.mark.parametrize("kind", KINDS)
def test_key_that_an_interposer_shows_is_not_what_secrets_are_encrypted_to(bus, kind):
    """The machine knows its TPM by another EK than the one that answers on the bus."""
    with open_tpm(bus.tcti) as tpm:
        host, other = known(tpm, kind), known(tpm, "rsa2048" if kind != "rsa2048" else "ecc-p256")
        mistaken = replace(host, ek_public=other.ek_public)
        credential = make_credential(host.ek_public, name_of(host.ak.public), SECRET)
        with pytest.raises(SaltKeyForeign):
            activate_credential(tpm, mistaken, *credential)
        values = read_pcrs(tpm, SELECTION)
        wrapped = wrap_for_host(host.ek_public, SECRET, SELECTION, values)
        with pytest.raises(SaltKeyForeign):
            unwrap_key(tpm, mistaken, wrapped)
        assert in_use(tpm) == []


def test_salt_key_beside_an_sm2_ek_needs_the_attestation_keys_word(bus):
    def alter(command: bytes, answer: bytes) -> bytes:
        return (
            answer[:40] + bytes([answer[40] ^ 1]) + answer[41:] if is_certify(command) else answer
        )

    def is_certify(command: bytes) -> bool:
        return code_of(command) == CERTIFY

    with open_tpm(bus.tcti) as tpm:
        host = known(tpm, "sm2")
        bus.alter = alter
        with pytest.raises(SaltKeyForeign):
            activate(tpm, host)
        assert in_use(tpm) == []


@dataclass(frozen=True)
class Case:
    """Something to do with a TPM, in which any command may fail."""

    name: str
    work: Callable[[Tpm, KnownHost], object]
    kind: EkKind = "ecc-p256"


def use_nv(tpm: Tpm, host: KnownHost) -> Certified:
    define_nv(tpm, INDEX, "ordinary", 8)
    write_nv(tpm, INDEX, bytes(8))
    return certify_nv(tpm, host.ak, INDEX, b"nonce")


CASES = [
    Case("EK and AK", lambda tpm, host: known(tpm, host.ak.ek_kind)),
    Case("quote", lambda tpm, host: take_quote(tpm, host.ak, b"nonce", SELECTION)),
    Case("credential", activate),
    Case("credential for SM2", activate, "sm2"),
    Case("wrapped key", unwrap),
    Case("wrapped key for SM2", unwrap, "sm2"),
    Case("sealed", lambda tpm, host: seal_and_unseal(tpm, host.ak.ek_kind)),
    Case("certified key", lambda tpm, host: certify_key(tpm, host.ak, host.ak, b"nonce")),
    Case("NV", use_nv),
]


@pytest.mark.parametrize(
    ("case", "trouble"),
    [(case, FAILURE) for case in CASES] + [(case, REFUSAL) for case in CASES[2:5:2]],
    ids=lambda part: part.name if isinstance(part, Case) else hex(part),
)
def test_nothing_is_left_in_the_tpm_whichever_command_fails(chip, bus, case, trouble):
    with open_tpm(chip.tcti) as tpm:
        host = known(tpm, case.kind)
    failed = 0
    for number in range(1, 200):
        count = iter(range(1, 1 << 20))

        def forge(command: bytes, number=number, count=count) -> bytes | None:
            # A TPM that cannot flush keeps what it has: that is nobody's mistake here.
            if code_of(command) == FLUSH_CONTEXT or next(count) != number:
                return None
            return bytes.fromhex("80010000000a") + trouble.to_bytes(4, "big")

        bus.forge = forge
        try:
            with open_tpm(bus.tcti) as tpm:
                case.work(tpm, host)
        except E2ETrustError:
            failed += 1
        else:
            if next(count) <= number:
                break
        finally:
            bus.forge = lambda command: None
            with open_tpm(chip.tcti) as tpm:
                assert in_use(tpm) == [], f"after command {number} failed"
                if case.work is use_nv:
                    forget_index(tpm)
    assert failed >= 3


def forget_index(tpm: Tpm) -> None:
    try:
        undefine_nv(tpm, INDEX)
    except TpmError:
        pass
