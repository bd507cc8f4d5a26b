# SPDX-License-Identifier: Apache-2.0
"""Lists as they are and as somebody altered them, read by us and by evmctl(1).

``evmctl ima_measurement`` replays a list to given PCRs by code that shares nothing with ours.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.errors import ImaListMismatch
from e2etrust_core.evidence.ima_fields import decode_fields
from e2etrust_core.evidence.ima_frames import covered_by_quote, split_ima_list
from e2etrust_core.evidence.ima_list import parse_ima_list, read_entry, reader, replay_ima_list
from e2etrust_core.evidence.ima_measured_keys import MeasuredKeys
from tests.unit.core.appraisal.test_ima_measured_keys import certificate
from tests.unit.core.evidence.test_ima_signature import CONTENT, sign
from tests.unit.core.ima_writer import buf, line, ng, sig, violation
from tests.vectors import vectors

#: evmctl knows neither the later templates nor those of the command line.
OWN = [
    ng("boot_aggregate"),
    *(ng(f"/usr/bin/{number}", bytes([number])) for number in range(6)),
    violation("/var/log/x"),
    sig("/usr/lib/a", b"a", b"\x03\x02\x04" + bytes(40)),
    buf("kexec-cmdline", b"root=/dev/vda1"),
    sig("/usr/lib/b", b"b"),
    violation("/usr/lib/c", "ima-sig"),
    ng("/usr/bin/bash"),
]
SIZES = {"sha1": 20, "sha256": 32}


@pytest.fixture
def evmctl(tmp_path):
    """Run it on a list with PCR 10 of a bank; return the entries that come to it, and its words."""
    program = shutil.which("evmctl")
    assert program, "evmctl is not there: apt install ima-evm-utils (tools/install does)"

    def run(data: bytes, bank: str, value: bytes, *more: str) -> tuple[int | None, str]:
        (tmp_path / "list").write_bytes(data)
        zeros = bytes(SIZES[bank]).hex()
        lines = [f"PCR-{n:02d}: {value.hex() if n == 10 else zeros}\n" for n in range(24)]
        (tmp_path / "pcrs").write_text("".join(lines))
        command = [program, "ima_measurement", "-v", "--ignore-violations", *more]
        done = subprocess.run(
            [*command, "--pcrs", f"{bank},{tmp_path / 'pcrs'}", str(tmp_path / "list")],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
        )
        told = done.stdout + done.stderr
        at = re.findall(r"PCR-10: succeed at entry (\d+)", told)
        return (int(at[-1]) if done.returncode == 0 and at else None), told

    return run


def ours(data: bytes, bank: str, value: bytes) -> int | None:
    try:
        return covered_by_quote(split_ima_list(data), bank, value).count
    except E2ETrustError:
        return None


def value_of(data: bytes, bank: str, *, padded: bool = False) -> bytes:
    return list(replay_ima_list(parse_ima_list(data), bank, padded=padded))[-1]


def cut(data: bytes) -> list[bytes]:
    cursor, found = reader(data), []
    while cursor.left:
        begin = cursor.at
        read_entry(cursor, 20, len(found) + 1)
        found.append(data[begin : cursor.at])
    return found


def corpus(name: str) -> bytes:
    if name == "own":
        return b"".join(OWN)
    file = "ima_bin" if name.startswith("ovmf") else "ima/ibmtss/sha1.log"
    return (vectors(name) / file).read_bytes()


CORPORA = ["own", "ovmf-plain", "ovmf-sm3", "public"]


@pytest.mark.parametrize("name", CORPORA)
@pytest.mark.parametrize("bank", SIZES)
def test_lists_come_to_the_same_value_after_as_many_entries(evmctl, name, bank):
    data = corpus(name)
    value = value_of(data, bank)
    assert evmctl(data, bank, value)[0] == ours(data, bank, value) == len(cut(data))


def test_what_was_measured_after_the_quote_is_behind_the_same_entry(evmctl):
    value = value_of(b"".join(OWN[:5]), "sha256")
    assert evmctl(b"".join(OWN), "sha256", value)[0] == ours(b"".join(OWN), "sha256", value) == 5


def test_padded_sha1_is_understood_alike(evmctl):
    data = b"".join(OWN[:7])  # of a violation the kernel extends ones in full, evmctl in 20 bytes
    value = value_of(data, "sha256", padded=True)
    assert "Matched SHA1 padded" in evmctl(data, "sha256", value)[1]
    assert ours(data, "sha256", value) == 7


def altered(entries: list[bytes], draw: random.Random) -> bytes:
    """*entries* with one thing done to them that changes what they come to, or may."""
    found = list(entries)
    place, other = draw.sample(range(len(found)), 2)
    how = draw.choice(["leave out", "swap", "repeat", "cut", "byte", "zeros", "new"])
    if how == "leave out":
        del found[place]
    elif how == "swap":
        found[place], found[other] = found[other], found[place]
    elif how == "repeat":
        found.insert(other, found[place])
    elif how == "cut":
        return b"".join(found)[: draw.randrange(1, len(b"".join(found)))]
    elif how == "byte":
        one = bytearray(found[place])
        one[draw.randrange(len(one))] ^= 1 << draw.randrange(8)
        found[place] = bytes(one)
    elif how == "zeros":
        found[place] = found[place][:4] + bytes(20) + found[place][24:]
    else:
        found.insert(place, ng("/tmp/evil", b"evil"))
    return b"".join(found)


def restored(data: bytes) -> bytes:
    """*data* with what no digest covers as the kernel writes it: each entry's PCR and the digest
    that it goes by.  evmctl refuses a list that has them otherwise; to us they prove nothing."""
    cursor, found = reader(data), []
    while cursor.left:
        head = cursor.take(24)
        name = cursor.take(cursor.uint(4))
        hashed = cursor.take(cursor.uint(4))
        digest = hashlib.sha1(hashed).digest() if any(head[4:]) else bytes(20)
        found.append(line(name.decode(), hashed, digest=digest))
    return b"".join(found)


@pytest.mark.parametrize("name", CORPORA)
def test_altered_list_is_accepted_by_both_or_by_neither(evmctl, name):
    data = corpus(name)
    value, entries = value_of(data, "sha256"), cut(data)
    draw = random.Random(f"evmctl {name}")  # noqa: S311 - the same every time
    accepted = 0
    for _ in range(25):
        other = altered(entries, draw)
        count = ours(other, "sha256", value)
        if count is not None:
            accepted += 1
            assert evmctl(restored(other), "sha256", value)[0] == count
        else:
            theirs, told = evmctl(other, "sha256", value)
            assert theirs is None, told[-500:]
    assert accepted < 25


def test_signatures_are_good_by_evmctl_where_they_are_by_us(evmctl, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    good = sign(tmp_path, key)
    bad = good[:-1] + bytes([good[-1] ^ 1])
    entries = [
        sig("/good", CONTENT, good),
        sig("/altered", b"another", good),
        sig("/bad", CONTENT, bad),
        sig("/foreign", CONTENT, sign(tmp_path, ec.generate_private_key(ec.SECP256R1()))),
        sig("/unsigned", CONTENT),
    ]
    data = b"".join(entries)
    (tmp_path / "signer.der").write_bytes(certificate(key))
    keys = MeasuredKeys()
    assert keys.add(certificate(key))
    more = ("--verify-sig", "--key", str(tmp_path / "signer.der"))
    _, told = evmctl(data, "sha256", value_of(data, "sha256"), *more)
    by_evmctl = re.findall(r"^(/\w+): verification is OK", told, re.MULTILINE)
    found = [decode_fields(one) for one in parse_ima_list(data)]
    by_us = [one.name.decode() for one in found if keys.signed(one)]
    assert by_us == by_evmctl == ["/good"]


def test_mismatch_is_told_as_such():
    with pytest.raises(ImaListMismatch):
        covered_by_quote(split_ima_list(b"".join(OWN)), "sha256", b"\1" * 32)
