# SPDX-License-Identifier: Apache-2.0
"""What a policy could say of an IMA list, proposed from that of a host that is known to be good.

Files by digest and path, in an allowlist of their own, unless a key that the kernel measured signed
them; measured buffers by their digests, SELinux's and device-mapper's in their own sections.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from e2etrust_core.appraisal.allowlist_lines import allowlist_line
from e2etrust_core.appraisal.critical_data_proposal import propose_device_mapper, propose_mac
from e2etrust_core.appraisal.errors import AppraisalError
from e2etrust_core.appraisal.ima_allowlist import LENGTHS, Allowlist, read_allowlist
from e2etrust_core.appraisal.ima_checks import AGGREGATE_PCRS, BOOT_AGGREGATE, SetApart
from e2etrust_core.appraisal.mac_rules import MAC_BUFFERS
from e2etrust_core.appraisal.policy_ima import KERNEL_KEYRING
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.crypto import digest_of
from e2etrust_core.errors import E2ETrustError, PolicyError
from e2etrust_core.evidence.device_mapper import DM_BUFFERS
from e2etrust_core.evidence.errors import ImaListError
from e2etrust_core.evidence.ima_fields import ImaFields, decode_fields
from e2etrust_core.evidence.ima_frames import covered_by_quote, split_ima_list
from e2etrust_core.evidence.ima_list import IMA_PCR, ImaEntry
from e2etrust_core.evidence.ima_measured_keys import MeasuredKeys
from e2etrust_core.evidence.ima_signature import Keyring
from e2etrust_core.evidence.model import PcrValues
from e2etrust_core.suites import HASHES


@dataclass(frozen=True, slots=True)
class ImaProposal:
    """``sections`` of a policy by name, the ``files`` that they name, and in ``words`` what they
    accept, or why there are none."""

    sections: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


class ProposedFiles(dict[str, bytes]):
    """Files of a proposal, for reading it as a policy (:class:`.policy_ima.PolicyFiles`)."""

    def allowlist(self, name: str) -> Allowlist:
        """:raises PolicyError: it is none of them."""
        if name not in self:
            raise PolicyError(f"{name} is not part of the proposal")
        return read_allowlist(self[name].splitlines(keepends=True))

    def keyring(self, name: str) -> Keyring:
        """:raises PolicyError: always: no proposal has one."""
        raise PolicyError(f"{name} is not part of the proposal")


@dataclass
class _Found:
    """What a list consists of; ``signed``: by keyring, how many files its keys vouch for."""

    lines: dict[bytes, None] = field(default_factory=dict)
    files: int = 0
    unknown_signers: int = 0
    violations: int = 0
    unread: list[str] = field(default_factory=list)
    buffers: dict[str, set[bytes]] = field(default_factory=dict)
    apart: list[SetApart] = field(default_factory=list)
    keyrings: dict[str, MeasuredKeys] = field(default_factory=dict)
    signed: Counter[str] = field(default_factory=Counter)
    aggregate: ImaFields | None = None

    def take(self, entry: ImaEntry, number: int) -> None:
        if entry.violation:
            self.violations += 1
            return
        try:
            found = decode_fields(entry)
        except ImaListError as exc:
            self.unread.append(f"entry {number}: {exc.reason}")
            return
        if found.buffer is not None:
            self._take_buffer(found.name.decode("utf-8", "replace"), found.buffer, number)
        elif found.name == BOOT_AGGREGATE:
            self.aggregate = found
        else:
            self._take_file(found, number)

    def _take_buffer(self, name: str, buffer: bytes, number: int) -> None:
        if name in MAC_BUFFERS | DM_BUFFERS:
            self.apart.append(SetApart(f"ima {number}", name, buffer))
            return
        self.buffers.setdefault(name, set()).add(hashlib.sha256(buffer).digest())
        if name.startswith(KERNEL_KEYRING):
            self.keyrings.setdefault(name, MeasuredKeys()).add(buffer)

    def _take_file(self, found: ImaFields, number: int) -> None:
        signer = next((name for name, keys in self.keyrings.items() if keys.signed(found)), None)
        if signer is not None:
            self.signed[signer] += 1
            return
        if found.algorithm not in LENGTHS or not found.name:
            self.unread.append(
                f"entry {number}: a file without a name, or of hash {found.algorithm}"
            )
            return
        self.files += 1
        self.unknown_signers += found.signature is not None
        verity = found.kind == "verity"
        self.lines[allowlist_line(found.algorithm, found.digest, found.name, verity=verity)] = None


def propose_ima(recorded: RecordedAppraisal, name: str, *, with_files: bool) -> ImaProposal:
    """Return sections that accept the list as it was recorded.

    :param name: of the policy; its allowlist is called after it.
    :param with_files: whether an allowlist can be written beside the policy.  Else files are
        accepted without a look, and nothing is proposed where nothing else would be asked.
    """
    evidence = recorded.evidence
    if evidence.ima is None:
        return _nothing("no IMA list was recorded (a policy that observes PCR 10 asks for one)")
    if evidence.ima_from:
        return _nothing("only a part of the IMA list is in this evidence: take an older one")
    try:
        bank, entries = _covered(evidence.ima, evidence.quote.pcrs)
    except E2ETrustError as exc:
        return _nothing(f"nothing of the IMA list: {exc.reason}")
    found = _Found()
    for number, entry in enumerate(entries, 1):
        found.take(entry, number)
    aggregate = _aggregate_bank(found.aggregate, evidence.quote.pcrs)
    if aggregate is None:
        return _nothing("nothing of the IMA list: its boot_aggregate is not of the quoted PCRs")
    return _proposal(found, name, bank, aggregate, with_files=with_files)


def _nothing(why: str) -> ImaProposal:
    return ImaProposal(words=[why])


def _covered(data: bytes, quoted: PcrValues) -> tuple[str, list[ImaEntry]]:
    """Return a bank whose quoted PCR 10 the list comes to, and the entries under the quote.

    :raises ImaListError, ImaListMismatch: there is none.
    """
    banks = sorted((one for one, values in quoted.items() if IMA_PCR in values), key=_strength)
    if not banks:
        raise ImaListError("the quote does not cover PCR 10")
    frames = split_ima_list(data)
    covered = covered_by_quote(frames, banks[-1], quoted[banks[-1]][IMA_PCR])
    return banks[-1], [frames.entry(number) for number in range(covered.count)]


def _strength(bank: str) -> tuple[bool, str]:
    return bank == "sha256", bank


def _aggregate_bank(found: ImaFields | None, quoted: PcrValues) -> str | None:
    for bank, values in quoted.items():
        hashing = HASHES[bank]
        pcrs = AGGREGATE_PCRS[: 8 if bank == "sha1" else None]
        if found is not None and set(pcrs) <= values.keys():
            due = digest_of(hashing.hashlib_name, b"".join(values[n] for n in pcrs))
            if (found.algorithm, found.digest) == (hashing.hashlib_name, due):
                return bank
    return None


def _proposal(
    found: _Found, name: str, bank: str, aggregate: str, *, with_files: bool
) -> ImaProposal:
    sections: dict[str, Any] = {}
    words: list[str] = []
    _add_critical_data(found, sections, words)
    if not with_files and not sections:
        return _nothing("nothing of the IMA list: its files need an allowlist (--directory)")
    section: dict[str, Any] = {"bank": bank, "aggregate_bank": aggregate}
    files = {}
    if with_files:
        file = f"{name}.sha256"
        section["allow"] = [file]
        files[file] = b"# as recorded of a good host\n" + b"\n".join([*found.lines, b""])
        words.append(f"{found.files} measured files, each by digest and path ({file})")
    else:
        section["exclude"] = ["*"]
        words.append(
            f"{found.files} measured files without a look, whichever they are: what was"
            " measured is held to an allowlist with --directory only"
        )
    _add_buffers(found, section, words)
    if found.violations:
        section["violations"] = "report"
        words.append(
            f"{found.violations} violations, and further ones: nobody knows what was read there"
        )
    words += [f"not accepted: {one}" for one in found.unread]
    return ImaProposal({"ima": section, **sections}, files, words)


def _add_critical_data(found: _Found, sections: dict[str, Any], words: list[str]) -> None:
    for section, names, propose in (
        ("mac", MAC_BUFFERS, propose_mac),
        ("device_mapper", DM_BUFFERS, propose_device_mapper),
    ):
        measured = [one for one in found.apart if one.name in names]
        if not measured:
            continue
        try:
            sections[section], told = propose(measured)
            words.append(told)
        except AppraisalError as exc:
            # Still measured, so still to be accepted: as it is, by digest.
            words.append(f"no section {section}: {exc.reason}")
            for one in measured:
                digest = hashlib.sha256(one.buffer).digest()
                found.buffers.setdefault(one.name, set()).add(digest)


def _add_buffers(found: _Found, section: dict[str, Any], words: list[str]) -> None:
    rules = []
    for name, digests in sorted(found.buffers.items()):
        rule: dict[str, Any] = {"name": name, "digests": sorted(one.hex() for one in digests)}
        if found.signed[name]:
            rule["verifies"] = True
        rules.append(rule)
        words.append(f"{len(digests)} measured as {_plain(name)}, each by its digest")
    if rules:
        section["buffers"] = rules
    words += [
        f"{count} files, and whatever else is signed by the same keys of {_plain(name)}"
        for name, count in sorted(found.signed.items())
    ]
    if found.unknown_signers:
        words.append(
            f"{found.unknown_signers} of the files are signed by keys that were not measured:"
            " with their certificates in signed_by, updates need no new digests"
        )


def _plain(name: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", name)[:64]
