# SPDX-License-Identifier: Apache-2.0
"""A host that ran something bad tells lists that hide it: by another entry's name, by leaving it
out, by other bytes.  None is accepted, with everything good known already."""

from __future__ import annotations

import hashlib
import random

import pytest

from e2etrust_core.appraisal.ima_allowlist import read_allowlist
from e2etrust_core.appraisal.ima_checks import check_entries, look_at_entries, read_list
from e2etrust_core.appraisal.ima_rules import ImaRules
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.ima_list import ImaEntry, read_entry, reader
from tests.unit.core.ima_writer import buf, line, ng, pcr10, sig, violation

GOOD = {f"/bin/{number}": str(number).encode() for number in range(12)}
PCRS = {number: bytes([number]) * 32 for number in range(10)}
AGGREGATE = ng("boot_aggregate", b"".join(PCRS.values()))
BAD = {
    "file": ng("/evil", b"e"),
    "signed": sig("/evil", b"e", b"no signature"),
    "key": buf("x", b"y"),
    "violation": violation("/bin/1"),
    "content": ng("/bin/1", b"other"),
}
ROUNDS = 600


def decoded(entry: bytes) -> ImaEntry:
    return read_entry(reader(entry), 20, 1, verify=False)


def extended(entry: bytes) -> bytes:
    found = decoded(entry)
    return b"\xff" * 32 if found.violation else hashlib.sha256(found.hashed).digest()


def accepted(rules: ImaRules, data: bytes, quoted: bytes) -> bool:
    pcrs = {"sha256": {**PCRS, 10: quoted}}
    try:
        read = read_list(rules, data, None, pcrs)
        check_entries(rules, read, look_at_entries(rules, read), "policy", 1)
    except E2ETrustError:
        return False
    return True


def told(chance: random.Random, entries: list[bytes], at: int) -> bytes:
    """The list as somebody would tell it who wants entry *at* not to be seen."""
    found = list(entries)
    bad, good = decoded(entries[at]), decoded(chance.choice(entries[:at]))
    way = chance.randrange(6)
    if way == 0:
        found[at] = line(bad.template, bad.hashed, digest=good.template_digest)
    elif way == 1:
        found[at] = entries[0]
    elif way == 2:
        del found[at]
    elif way == 3:
        found[at] = line("ima-ng", good.hashed, digest=bad.template_digest)
    elif way == 4:
        found = found[: chance.randrange(len(found) + 1)]
    data = bytearray(b"".join(found))
    if data and (way == 5 or chance.random() < 0.3):
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.choice([0, 6, 10, 255, 65])
    return bytes(data)


@pytest.mark.parametrize("kind", BAD)
def test_list_that_hides_an_entry_is_never_accepted(kind):
    allowed = read_allowlist(
        f"{hashlib.sha256(content).hexdigest()}  {path}\n".encode()
        for path, content in GOOD.items()
    )
    rules = ImaRules("sha256", "sha256", allowed=(allowed,), exclude=("/tmp/*",))
    chance = random.Random(kind)
    for _ in range(ROUNDS):
        files = chance.choices(list(GOOD.items()), k=chance.randint(1, 8))
        honest = [AGGREGATE, *(ng(*one) for one in files)]
        assert accepted(rules, b"".join(honest), pcr10(*map(extended, honest)))
        at = chance.randint(1, len(honest))
        entries = [*honest[:at], BAD[kind], *honest[at:]]
        quoted = pcr10(*map(extended, entries))
        assert not accepted(rules, b"".join(entries), quoted)
        for _ in range(4):
            assert not accepted(rules, told(chance, entries, at), quoted)
    assert len(rules.known) == len(GOOD)
