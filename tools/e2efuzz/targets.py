# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: each reader of bytes that come from a host, an operator or the message bus."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from e2etrust_core import messages, wire
from e2etrust_core.appraisal.event_proposal import propose_rules
from e2etrust_core.appraisal.policy import parse_timed_policy
from e2etrust_core.evidence.canonical_log import parse_canonical_log
from e2etrust_core.evidence.device_mapper import DM_BUFFERS, decode_dm
from e2etrust_core.evidence.ek_chain import read_ek_chain
from e2etrust_core.evidence.event_log import Event, EventLog, parse_event_log
from e2etrust_core.evidence.events import kinds
from e2etrust_core.evidence.events.description import describe
from e2etrust_core.evidence.ima_fields import decode_fields
from e2etrust_core.evidence.ima_frames import split_ima_list
from e2etrust_core.evidence.ima_list import parse_ima_list
from e2etrust_core.evidence.ima_measured_keys import MeasuredKeys
from e2etrust_core.evidence.later_log import events_quoted
from e2etrust_core.evidence.model import HostEvidence, Quote, RunningDomain
from e2etrust_core.evidence.replay import replay
from e2etrust_core.evidence.tpm_structures import (
    decode_public,
    decode_quote,
    decode_signature,
    name_of,
    public_key_of,
)
from e2etrust_core.launch import LaunchMeasurement, LaunchRequest


@dataclass(frozen=True)
class Target:
    """``run`` reads the bytes and may raise errors of ours only."""

    name: str
    text: str
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def _event_log(data: bytes) -> None:
    log = parse_event_log(data)
    for bank in log.banks:
        replay(log, bank)
        for event in log.events:
            describe(event, bank)
        propose_rules(log, bank, range(8))


def _canonical_log(data: bytes) -> None:
    log = parse_canonical_log(data)
    for bank in log.banks:
        replay(log, bank)
        for event in log.events:
            describe(event, bank)
    firmware = EventLog(("sha256",), (), 0)
    events_quoted(firmware, log, {"sha256": {11: bytes(32)}}, {})


def _event(data: bytes) -> None:
    """The first byte chooses the event's type, the second whether its digest is of the data."""
    if len(data) < 2:
        return
    listed = sorted(kinds.NAMES)
    kind, body = listed[data[0] % len(listed)], data[2:]
    digest = hashlib.sha256(body).digest() if data[1] & 1 else bytes(32)
    describe(Event(7, kind, {"sha256": digest}, body), "sha256")


def _ima(data: bytes) -> None:
    split_ima_list(data, {})
    for entry in parse_ima_list(data):
        decode_fields(entry)


def _device_mapper(data: bytes) -> None:
    """The first byte chooses what the rest was measured as."""
    if data:
        decode_dm(sorted(DM_BUFFERS)[data[0] % len(DM_BUFFERS)], data[1:])


def _measured_key(data: bytes) -> None:
    keys = MeasuredKeys()
    keys.add(data)
    MeasuredKeys(keys.kept)


def _ek_chain(data: bytes) -> None:
    read_ek_chain(data)


def _quote(data: bytes) -> None:
    decode_quote(data)


def _signature(data: bytes) -> None:
    decode_signature(data)


def _public(data: bytes) -> None:
    name_of(data)
    public_key_of(decode_public(data))


def _policy(data: bytes) -> None:
    parse_timed_policy(data.decode("utf-8", "replace"))


#: Messages that come over the bus from whoever has its password.
_MESSAGES: tuple[type[Any], ...] = (
    messages.EnrolRequest,
    messages.EnrolAnswer,
    messages.ChallengeRequest,
    messages.AttestRequest,
    messages.LaunchAsk,
    messages.LaunchUpdate,
    messages.RefusalReport,
    messages.DeltaRequest,
    messages.Reply,
    messages.ServerEvidence,
)


def _rpc(data: bytes) -> None:
    """As oslo.messaging hands them on: JSON's values, of whatever shape."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    refusals = 0
    for kind in _MESSAGES:
        try:
            wire.from_dict(kind, value)
        except wire.InputError:
            refusals += 1


def _u(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def _a_log() -> bytes:
    banks = ((4, 20), (0xB, 32))
    spec = b"Spec ID Event03\0" + _u(0, 4) + bytes([0, 2, 0, 2]) + _u(len(banks), 4)
    spec += b"".join(_u(alg, 2) + _u(size, 2) for alg, size in banks) + b"\0"
    log = _u(0, 4) + _u(3, 4) + bytes(20) + _u(len(spec), 4) + spec
    for pcr, kind, data in (
        (7, 0x80000001, _a_variable("SecureBoot", b"\1")),
        (1, 0x80000002, _a_variable("Boot0001", _u(1, 4) + _u(4, 2) + b"D\0\0\0\x7f\xff\4\0")),
        (4, 4, bytes(4)),
        (4, 0x80000007, b"Calling EFI Application from Boot Option"),
        (8, 0xD, b"grub_cmd: linux /vmlinuz\0"),
    ):
        digests = _u(4, 2) + hashlib.sha1(data).digest() + _u(0xB, 2)
        digests += hashlib.sha256(data).digest()
        log += _u(pcr, 4) + _u(kind, 4) + _u(2, 4) + digests + _u(len(data), 4) + data
    return log


def _a_variable(name: str, data: bytes) -> bytes:
    vendor = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
    return vendor + _u(len(name), 8) + _u(len(data), 8) + name.encode("utf-16-le") + data


def _an_ima_list() -> bytes:
    entries, state = b"", hashlib.sha256(b"enforcing=1;").digest()
    for template, fields in (
        (b"ima-ng", (b"sha256:\0" + bytes(32), b"/usr/bin/true\0")),
        (b"ima-sig", (b"sha256:\0" + bytes(32), b"/bin/a\0", b"\3\2\4abcd\0\2xy")),
        (b"ima-buf", (b"sha256:\0" + state, b"selinux-state\0", b"enforcing=1;")),
        (b"d-ngv2|n|imode", (b"verity:sha256:\0" + bytes(32), b"/bin/b\0", b"\xed\x81")),
    ):
        body = b"".join(_u(len(one), 4) + one for one in fields)
        head = _u(10, 4) + hashlib.sha1(body).digest() + _u(len(template), 4) + template
        entries += head + _u(len(body), 4) + body
    return entries


#: By the first byte a rename, a resumption and a load of :data:`DM_BUFFERS`, which are sorted.
_DEVICE = b"dm_version=4.47.0;name=a\\=b,uuid=c,num_targets=1;"
_SOME_TABLES = (
    b"\1" + _DEVICE + b"new_name=d,new_uuid=;current_device_capacity=8;",
    b"\2" + _DEVICE + b"active_table_hash=sha256:" + b"0" * 64 + b";",
    b"\4" + _DEVICE + b"target_index=0,target_name=verity,hash_failed=V,root_digest=00;",
)


def _a_certificate() -> bytes:
    key = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "key")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin, [])
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _a_chain() -> bytes:
    return _a_certificate() + b"\xff\xff" + _a_certificate() + bytes(9)


def _a_quote() -> bytes:
    quote = bytes.fromhex("ff544347 8018 0022 000b") + bytes(32) + b"\0\4none"
    return quote + bytes(17) + bytes(8) + bytes.fromhex("00000001 000b 03 ff0300 0020") + bytes(32)


#: An EK on P-256 (nameAlg SHA-256, AES-128-CFB) whose point is the curve's generator.
_P256 = bytes.fromhex(
    "0023 000b 00050472 0000 0006 0080 0043 0010 0003 0010"
    "0020 6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "0020 4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
_A_PHASE = (
    b'\x1e{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"' + b"0" * 64 + b'"}],'
    b'"content_type":"systemd","content":{"string":"sysinit","eventType":"phase"}}\n'
)
_POLICY = f"""name: p
version: 3
hosts: ["*"]
pcrs: {{sha256: {{7: ["{"0" * 64}", {{accept: "{"1" * 64}", until: 2026-12-01T00:00:00Z}}]}}}}
events:
  pcrs: [4]
  rules: [{{type: EV_SEPARATOR, pcr: 4, data: ["00000000"], times: [1, any]}}]
ima: {{buffers: [{{name: selinux-state, like: ["*"]}}]}}
"""


def _some_messages() -> tuple[bytes, ...]:
    quote = Quote(b"a", b"s", {"sha256": {0: bytes(32)}})
    evidence = HostEvidence(quote, b"log", [RunningDomain("i", "n", True, None)])
    measurement = LaunchMeasurement("i", bytes(32), bytes(32), "lease")
    request = LaunchRequest(measurement, "vm", "p", None, "trusted", None)
    return tuple(
        wire.to_json(message)
        for message in (
            messages.EnrolRequest("h", "ecc-p256-sha256", b"ek", b"ak"),
            messages.AttestRequest("h", bytes(32), evidence),
            messages.LaunchAsk("h", bytes(32), evidence, request),
            messages.DeltaRequest(0),
        )
    )


TARGETS = {
    target.name: target
    for target in (
        Target("event-log", "a TCG event log, replayed and told", _event_log, (_a_log(),)),
        Target("later-log", "a canonical event log in JSON", _canonical_log, (_A_PHASE,)),
        Target("event", "one event's data", _event, (b"\x0d\1" + _a_variable("db", b"x"),)),
        Target("ima", "an IMA measurement list", _ima, (_an_ima_list(),)),
        Target("device-mapper", "what was measured of a device", _device_mapper, _SOME_TABLES),
        Target("measured-key", "a certificate of the kernel's", _measured_key, (_a_certificate(),)),
        Target("ek-chain", "certificates in a TPM's NV", _ek_chain, (_a_chain(),)),
        Target("quote", "a TPMS_ATTEST", _quote, (_a_quote(),)),
        Target("signature", "a TPMT_SIGNATURE", _signature, (b"\0\x18\0\x0b\0\1a\0\1b",)),
        Target("public", "a TPMT_PUBLIC", _public, (_P256,)),
        Target("policy", "a host policy", _policy, (_POLICY.encode(),)),
        Target("rpc", "messages on the bus", _rpc, _some_messages()),
    )
}
