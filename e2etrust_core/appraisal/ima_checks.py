# SPDX-License-Identifier: Apache-2.0
"""An IMA list, or what is new of one, held against a quote and a policy's rules.

Work goes on where the last good attestation ended: what it left is PCR 10 as it was then, so a part
of a list that leads from there to the quoted value holds all that was measured in between.
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from e2etrust_core.appraisal.errors import (
    AppraisalError,
    ImaAbsent,
    ImaAggregateMismatch,
    ImaBufferRefused,
    ImaEntryMissing,
    ImaFileRefused,
    ImaViolation,
)
from e2etrust_core.appraisal.ima_allowlist import file_key
from e2etrust_core.appraisal.ima_rules import BufferRule, ImaRules
from e2etrust_core.appraisal.patterns import is_like
from e2etrust_core.appraisal.reference import ImaSeen
from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.errors import ImaListError
from e2etrust_core.evidence.ima_fields import ImaFields, decode_fields
from e2etrust_core.evidence.ima_frames import Covered, ImaFrames, covered_by_quote, split_ima_list
from e2etrust_core.evidence.ima_list import IMA_PCR
from e2etrust_core.evidence.ima_measured_keys import MeasuredKeys
from e2etrust_core.evidence.model import PcrValues
from e2etrust_core.one_line import printable
from e2etrust_core.suites import HASHES

BOOT_AGGREGATE = b"boot_aggregate"
#: Linux ima_crypto.c, ima_calc_boot_aggregate_tfm: PCRs 0 to 7 with SHA-1, 8 and 9 too with others.
AGGREGATE_PCRS = tuple(range(10))
_SHA1_PCRS = 8
_MAX_PATTERNS_TOLD = 5


@dataclass(frozen=True, slots=True)
class ReadList:
    """A list, or part of one, with how much of it the quote covers.

    ``aggregate``: the digest that boot_aggregate must have, empty where the quote does not tell.
    """

    frames: ImaFrames
    covered: Covered
    quoted: bytes
    begun: ImaSeen | None
    aggregate: bytes


@dataclass(frozen=True, slots=True)
class SetApart:
    """A measured buffer that another section of the policy judges, and where it stands."""

    where: str
    name: str
    buffer: bytes


@dataclass
class LookedAt:
    """What came together while entries were looked at; ``excluded``: how many by each pattern, in
    their order; ``accepted``: template digest -> digest of those that an allowlist or a signature
    accepted; ``met``: names that were there, and ``keys`` that check signatures, now
    or in earlier parts."""

    excluded: list[int] = field(default_factory=list)
    violations: int = 0
    met: set[str] = field(default_factory=set)
    accepted: dict[bytes, bytes] = field(default_factory=dict)
    apart: list[SetApart] = field(default_factory=list)
    faults: list[AppraisalError] = field(default_factory=list)
    keys: MeasuredKeys = field(default_factory=MeasuredKeys)


def read_list(
    rules: ImaRules, data: bytes | None, begun: ImaSeen | None, quoted: PcrValues
) -> ReadList:
    """Return the list with the entries that the quote covers.

    :param data: binary_runtime_measurements, from where *begun* ended; from its first byte where
        *begun* is None.
    :raises ImaAbsent: there is no list.
    :raises ImaListError: it cannot be read.
    :raises ImaListMismatch: it does not come to the quoted PCR 10.
    :raises ImaAggregateMismatch: *begun* is of a boot with other PCRs.  PCR 10 alone does not tell
        boots apart: where IMA is off, root extends it by what an earlier list says.
    """
    if data is None:
        raise ImaAbsent("the policy asks for an IMA list and none was sent")
    value = quoted.get(rules.bank, {}).get(IMA_PCR)
    if value is None:
        raise ImaAbsent(f"the quote does not cover PCR {IMA_PCR} of bank {rules.bank}")
    aggregate = _aggregate(rules, quoted)
    # What a release before left does not tell.
    if begun is not None and begun.aggregate not in (b"", aggregate):
        raise ImaAggregateMismatch("the IMA list goes on from a boot with other PCRs")
    frames = split_ima_list(data, rules.known)
    start = begun.value if begun is not None else None
    covered = covered_by_quote(frames, rules.bank, value, start)
    return ReadList(frames, covered, value, begun, aggregate)


def look_at_entries(rules: ImaRules, read: ReadList) -> LookedAt:
    """Hold every entry under the quote against *rules*; the refused ones are among the faults."""
    before = read.begun
    tally = LookedAt([0] * len(rules.exclude))
    if before is not None:
        tally.met, tally.keys = set(before.met), MeasuredKeys(before.keys)
    first = before.entries if before is not None else 0
    for number in _not_in_allowlists(rules, read, tally):
        where = f"ima {first + number + 1}"
        try:
            _look(rules, read, number, where, tally)
        except AppraisalError as exc:
            exc.where = where
            tally.faults.append(exc)
    return tally


def check_entries(
    rules: ImaRules, read: ReadList, tally: LookedAt, fingerprint: str, reset_count: int
) -> ImaSeen:
    """Tell of what :func:`look_at_entries` found; return where the next list goes on.

    :param fingerprint: of the policy: what another one accepted counts for nothing.
    :raises ImaFileRefused, ImaBufferRefused, ImaViolation, ImaAggregateMismatch: the first entry
        that is not accepted, and how many more.
    :raises ImaEntryMissing: boot_aggregate, or a buffer that a rule requires, was never measured.
    """
    if tally.faults:
        raise_first(tally.faults)
    for name in (BOOT_AGGREGATE.decode(), *rules.required):
        if name not in tally.met:
            raise ImaEntryMissing(f"{name}, which the policy asks for, was not measured")
    if not read.covered.padded:
        rules.known.remember(tally.accepted)
    return _seen(read, tally, fingerprint, reset_count)


def told_of(rules: ImaRules, seen: ImaSeen) -> str:
    """Say what a good list consists of: what was accepted without a look is named."""
    pairs = zip(rules.exclude, seen.excluded_by, strict=False)
    by = sorted(((count, one) for one, count in pairs if count), reverse=True)
    named = ", ".join(f"{one}: {count}" for count, one in by[:_MAX_PATTERNS_TOLD])
    more = f", and {len(by) - _MAX_PATTERNS_TOLD} patterns more" if by[_MAX_PATTERNS_TOLD:] else ""
    left = f"{seen.excluded} left out by pattern" + (f" ({named}{more})" if named else "")
    keys = f", {len(seen.keys)} measured keys" if seen.keys else ""
    return f"{seen.entries} entries, {left}, {seen.violations} violations{keys}"


def _not_in_allowlists(rules: ImaRules, read: ReadList, tally: LookedAt) -> list[int]:
    """Return the numbers of the entries that no allowlist knows; the others are accepted."""
    frames, covered = read.frames, read.covered
    if not rules.allowed or not covered.unknown:
        return covered.unknown
    keys = _keys(rules, frames, covered)
    left = rules.allowed[0].absent(keys)  # places in covered.unknown
    for allowed in rules.allowed[1:]:
        left = [left[place] for place in allowed.absent([keys[place] for place in left])]
    refused = [covered.unknown[place] for place in left]
    heads = map(frames.heads.__getitem__, covered.unknown)
    tally.accepted = dict(zip(heads, covered.digests, strict=True))
    for number in refused:
        # Of two entries with one template digest, only one of them good, neither is remembered.
        tally.accepted.pop(frames.heads[number], None)
    return refused


def _keys(rules: ImaRules, frames: ImaFrames, covered: Covered) -> list[bytes]:
    if frames.template == "ima-ng" and rules.bank == "sha256" and not covered.padded:
        # What was extended is the very key.  A violation's ones are no file's.
        return covered.digests
    return [_key(frames, number) for number in covered.unknown]


def _key(frames: ImaFrames, number: int) -> bytes:
    nothing = b"\xff" * 32
    body, template = frames.body(number), frames.template or frames.entry(number).template
    if frames.is_violation(number):
        return nothing
    if template == "ima-ng":
        return hashlib.sha256(body).digest()
    if template == "ima-sig":
        # The first two fields are those of ima-ng, whose lengths tell where they end.
        second = 4 + int.from_bytes(body[:4], "little")
        end = second + 4 + int.from_bytes(body[second : second + 4], "little")
        return hashlib.sha256(body[:end]).digest() if end <= len(body) else nothing
    try:
        found = decode_fields(frames.entry(number))
    except ImaListError:
        return nothing
    if found.buffer is not None:
        return nothing
    return file_key(found.algorithm, found.digest, found.name, verity=found.kind == "verity")


def _look(rules: ImaRules, read: ReadList, number: int, where: str, tally: LookedAt) -> None:
    entry = read.frames.entry(number)
    if entry.violation:
        # Its words are under no digest, so not even the path is known.
        if not rules.violations:
            raise ImaViolation("a file was open for writing while it was measured")
        tally.violations += 1
        return
    try:
        found = decode_fields(entry)
    except ImaListError as exc:
        raise ImaFileRefused(exc.reason) from None
    if found.buffer is not None:
        name = found.name.decode("utf-8", "replace")
        if name in rules.apart:
            tally.apart.append(SetApart(where, name, found.buffer))
            tally.met.add(name)
        else:
            _look_at_buffer(rules.buffers, found, tally)
    elif found.name == BOOT_AGGREGATE:
        _check_aggregate(rules, found, read.aggregate)
        tally.met.add(BOOT_AGGREGATE.decode())
    elif rules.keyring.signed(found):
        place = bisect_left(read.covered.unknown, number)
        tally.accepted[entry.template_digest] = read.covered.digests[place]
    elif tally.keys.signed(found):
        pass  # not remembered: another host's kernel may not have that key
    elif (pattern := rules.excluded_by(found.name)) is not None:
        tally.excluded[pattern] += 1
    else:
        raise ImaFileRefused(f"{_plain(found.name)} is not as the policy accepts")


def _look_at_buffer(rules: Sequence[BufferRule], found: ImaFields, tally: LookedAt) -> None:
    name, buffer = found.name.decode("utf-8", "replace"), found.buffer or b""
    text = buffer.rstrip(b"\0").decode("utf-8", "replace")
    for rule in rules:
        if rule.name == name and (
            rule.anything
            or hashlib.sha256(buffer).digest() in rule.digests
            or text in rule.text
            or any(is_like(text, pattern) for pattern in rule.like)
        ):
            tally.met.add(name)
            if rule.verifies:
                tally.keys.add(buffer)
            return
    raise ImaBufferRefused(f"{_plain(found.name)} is not as the policy accepts")


def _check_aggregate(rules: ImaRules, found: ImaFields, due: bytes) -> None:
    """boot_aggregate ties the list to this boot's firmware: a list of another boot has another."""
    bank = rules.aggregate_bank
    if found.algorithm != HASHES[bank].hashlib_name or not due:
        raise ImaAggregateMismatch(f"boot_aggregate is not of bank {bank}, as the policy has it")
    if not hmac.compare_digest(due, found.digest):
        raise ImaAggregateMismatch("boot_aggregate is not of the quoted PCRs")


def _aggregate(rules: ImaRules, quoted: PcrValues) -> bytes:
    """Return the digest that boot_aggregate has by the quote, empty where that does not tell."""
    bank = rules.aggregate_bank
    pcrs = AGGREGATE_PCRS[: _SHA1_PCRS if bank == "sha1" else None]
    values = quoted.get(bank, {})
    if not set(pcrs) <= values.keys():
        return b""
    return digest_of(HASHES[bank].hashlib_name, b"".join(values[n] for n in pcrs))


def raise_first(faults: list[AppraisalError]) -> None:
    """Raise the first, and say how many more there are."""
    first, more = faults[0], len(faults) - 1
    if more:
        first.reason = f"{first.reason} (and {more} more entries)"
    raise first


def _seen(read: ReadList, tally: LookedAt, fingerprint: str, reset_count: int) -> ImaSeen:
    before, count = read.begun, read.covered.count
    return ImaSeen(
        policy=fingerprint,
        reset_count=reset_count,
        value=read.quoted,
        offset=(before.offset if before else 0) + read.frames.size_of(count),
        entries=(before.entries if before else 0) + count,
        excluded=(before.excluded if before else 0) + sum(tally.excluded),
        excluded_by=_sums(before.excluded_by if before else [], tally.excluded),
        violations=(before.violations if before else 0) + tally.violations,
        met=sorted(tally.met),
        keys=tally.keys.kept,
        aggregate=read.aggregate,
    )


def _sums(before: list[int], now: list[int]) -> list[int]:
    # What a release before left tells only how many there were in all.
    known = before if len(before) == len(now) else [0] * len(now)
    return [old + new for old, new in zip(known, now, strict=True)]


def _plain(name: bytes) -> str:
    return printable(name.decode("utf-8", "replace"), 200)
