# SPDX-License-Identifier: Apache-2.0
"""A policy proposed from recorded evidence of a host that is known to be good.

It says in events what the event log bears out, and in values what it does not; it is text for a
person to read, and nothing makes it a policy but that person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from e2etrust_core.appraisal.errors import PolicyEmpty
from e2etrust_core.appraisal.event_proposal import propose_rules
from e2etrust_core.appraisal.ima_proposal import ProposedFiles, propose_ima
from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.appraisal.pcr_checks import replay_differences
from e2etrust_core.appraisal.policy import parse_policy
from e2etrust_core.appraisal.policy_events import events_document
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.appraisal.tpm_proposal import propose_tpm
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.event_log import INFORMATIVE, EventLog
from e2etrust_core.evidence.ima_list import IMA_PCR
from e2etrust_core.evidence.later_log import measured_log
from e2etrust_core.evidence.model import PcrValues
from e2etrust_core.evidence.replay import RESETTABLE_PCRS

#: Values that change while a host runs, or by whoever asks: nothing to hold a host to.
_RESTLESS = {IMA_PCR, *RESETTABLE_PCRS}


@dataclass(frozen=True, slots=True)
class Proposal:
    """``text`` is the policy; ``events`` how many events its rules accept, of ``event_pcrs``;
    ``value_pcrs`` the PCRs that it accepts by their value; ``left_out`` those it says nothing of.
    ``files`` are to stand beside it, by name; ``words`` say of the other sections what they accept,
    or why they are not there.
    """

    text: str
    bank: str
    events: int
    event_pcrs: list[int]
    value_pcrs: list[int]
    left_out: list[int]
    files: ProposedFiles = field(default_factory=ProposedFiles)
    words: list[str] = field(default_factory=list)

    def policy(self) -> HostPolicy:
        """Return it as it would be read."""
        return parse_policy(self.text, self.files)


def propose_policy(
    recorded: RecordedAppraisal, name: str, hosts: list[str], *, with_files: bool = False
) -> Proposal:
    """Return a policy that accepts the host as it was recorded.

    :param with_files: whether it may name files that are written beside it.
    :raises PolicyEmpty: nothing was quoted that a policy could hold a host to.
    """
    bank, values = _bank(recorded)
    steady = sorted(set(values) - _RESTLESS)
    log = _log(recorded, {bank: {index: values[index] for index in steady}})
    by_events = _borne_out(log, bank, values, steady)
    by_value = [index for index in steady if index not in by_events]
    document: dict[str, Any] = {"name": name, "hosts": hosts}
    rules = None
    if log is not None and by_events:
        rules = propose_rules(log, bank, by_events)
        document["events"] = events_document(rules)
    if by_value:
        document["pcrs"] = {bank: {index: [values[index].hex()] for index in by_value}}
    if rules is None and not by_value:
        raise PolicyEmpty("nothing was quoted that a policy could hold a host to")
    ima = propose_ima(recorded, name, with_files=with_files)
    tpm, told = propose_tpm(recorded)
    document |= {**ima.sections, "tpm": tpm}
    restless = _RESTLESS - {IMA_PCR} if ima.sections else _RESTLESS
    return Proposal(
        text=yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True),
        bank=bank,
        events=sum(rule.at_least for rule in rules.rules) if rules is not None else 0,
        event_pcrs=by_events,
        value_pcrs=by_value,
        left_out=sorted(set(values) & restless),
        files=ProposedFiles(ima.files),
        words=[*ima.words, told],
    )


def _bank(recorded: RecordedAppraisal) -> tuple[str, dict[int, bytes]]:
    """The bank of most quoted PCRs; the first one of several such."""
    quoted = recorded.evidence.quote.pcrs
    if not quoted:
        raise PolicyEmpty("no PCR was quoted")
    bank = max(quoted, key=lambda name: len(quoted[name]))
    return bank, quoted[bank]


def _log(recorded: RecordedAppraisal, quoted: PcrValues) -> EventLog | None:
    evidence = recorded.evidence
    if evidence.event_log is None:
        return None
    try:
        return measured_log(evidence.event_log, evidence.later_log, quoted)
    except E2ETrustError:
        return None  # the values are what is left to say


def _borne_out(
    log: EventLog | None, bank: str, values: dict[int, bytes], asked: list[int]
) -> list[int]:
    """Return the PCRs whose events come to the quoted value."""
    if log is None or bank not in log.banks:
        return []
    logged = {event.pcr for event in log.events if event.kind not in INFORMATIVE}
    wrong = set(replay_differences(log, {bank: values}, asked))
    return [index for index in asked if index in logged and f"{bank}:{index}" not in wrong]
