# SPDX-License-Identifier: Apache-2.0
"""Does a host's evidence satisfy its policy?  A pure function; every check is a row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from e2etrust_core.appraisal.checks import NOT_REACHED, Rows
from e2etrust_core.appraisal.dm_checks import check_dm
from e2etrust_core.appraisal.dm_checks import told_of as told_of_tables
from e2etrust_core.appraisal.errors import (
    ClockWentBack,
    EventLogAbsent,
    EventLogMismatch,
    PolicyEmpty,
    UnrecordedDomain,
    WindowClosed,
)
from e2etrust_core.appraisal.event_checks import check_events
from e2etrust_core.appraisal.event_rules import EventRules
from e2etrust_core.appraisal.ima_checks import (
    LookedAt,
    ReadList,
    check_entries,
    look_at_entries,
    read_list,
    told_of,
)
from e2etrust_core.appraisal.mac_checks import check_mac
from e2etrust_core.appraisal.mac_rules import MAC_BUFFERS
from e2etrust_core.appraisal.model import HostPolicy, Verdict
from e2etrust_core.appraisal.pcr_checks import check_policy, replay_differences
from e2etrust_core.appraisal.quote_rows import GENUINE, add_quote_rows
from e2etrust_core.appraisal.reference import Appraisal, ClockSeen, HostReference, ImaSeen
from e2etrust_core.appraisal.tpm_checks import check_tpm
from e2etrust_core.errors import EvidenceError
from e2etrust_core.evidence.device_mapper import DM_BUFFERS
from e2etrust_core.evidence.errors import ImaListMismatch, LaterLogError
from e2etrust_core.evidence.event_log import EventLog
from e2etrust_core.evidence.later_log import measured_log
from e2etrust_core.evidence.model import MAX_DOMAINS, HostEvidence, PcrSelection, RunningDomain
from e2etrust_core.evidence.quote import QuoteFacts
from e2etrust_core.one_line import printable

CLOCK = "clock"
DEVICE_MAPPER = "device-mapper"
EVENT_LOG = "event-log"
EVENT_POLICY = "event-policy"
IMA_LIST = "ima-list"
IMA_POLICY = "ima-policy"
MAC_STATE = "mac-state"
PCR_POLICY = "pcr-policy"
RUNNING_DOMAINS = "running-domains"
TPM_IDENTITY = "tpm-identity"

#: Domains that a reason names; it has to fit where verdicts are written down.
_MOST_NAMED = 20


def appraise_host(
    reference: HostReference,
    policy: HostPolicy,
    evidence: HostEvidence,
    qualifying: bytes,
    selection: PcrSelection,
    known_launches: Collection[str],
) -> Appraisal:
    """Appraise *evidence* of one host.  Never raises for bad evidence: that is a failed row.

    :param reference: the host's one record, as enrolled.
    :param qualifying: what the quote must be bound to, see :mod:`e2etrust_core.launch`; it is
        computed from the very *evidence*, so that domains cannot be changed after quoting.
    :param selection: what was asked for with the challenge.
    :param known_launches: ids of this host's launches that may be running.
    """
    found = _appraise(reference, policy, evidence, qualifying, selection, known_launches)
    if found.verdict.trusted or not found.genuine or policy.wider is None:
        return found
    before = _appraise(
        reference, policy.wider, evidence, qualifying, selection, known_launches
    ).verdict
    return replace(found, verdict=closed_windows(found.verdict, before))


def closed_windows(verdict: Verdict, before: Verdict) -> Verdict:
    """Say of rows that failed by time alone that they did; *before* any window closed they pass."""
    passed = {row.check for row in before.checks if row.outcome == "pass"}
    told = WindowClosed(
        "what the host runs is not accepted any more; it was, until its window closed"
    )
    return Verdict(
        [
            replace(row, reason=told.reason, code=told.code, remedy=told.remedy)
            if row.outcome != "pass" and row.code != NOT_REACHED and row.check in passed
            else row
            for row in verdict.checks
        ]
    )


def _appraise(
    reference: HostReference,
    policy: HostPolicy,
    evidence: HostEvidence,
    qualifying: bytes,
    selection: PcrSelection,
    known_launches: Collection[str],
) -> Appraisal:
    rows, known = Rows(), frozenset(known_launches)
    facts = add_quote_rows(
        rows,
        evidence.quote,
        reference.ak_public,
        reference.suite,
        qualifying,
        selection,
        reference.ek_public,
    )
    genuine = all(row.outcome == "pass" for row in rows.checks if row.check in GENUINE)
    if facts is None:
        _add_unreached(rows, policy)
        return Appraisal(Verdict(rows.checks), None, genuine, None, known)
    good = facts
    if (tpm := policy.tpm) is not None:
        held = f"the host's TPM is one that policy {policy.name} accepts"
        rows.run(TPM_IDENTITY, held, lambda: check_tpm(tpm, reference))
    rows.run(CLOCK, "the TPM's clock went on", lambda: check_clock(reference.last_clock, good))
    if policy.wants_event_log:
        _add_event_rows(rows, policy, evidence, good)
    if _names_values(policy):
        held = f"every PCR is as policy {policy.name} accepts"
        rows.run(PCR_POLICY, held, lambda: check_policy(policy, good.pcrs))
    seen = add_ima_rows(rows, policy, evidence, good, reference.ima)
    held = "every running server that demands trust was launched with it"
    rows.run(RUNNING_DOMAINS, held, lambda: check_domains(evidence.domains, known))
    return Appraisal(Verdict(rows.checks), facts, genuine, seen, known)


def check_clock(last: ClockSeen | None, facts: QuoteFacts) -> None:
    """Counts of resets and restarts never go back, nor the clock within one boot.

    TPM 2.0 Library Part 1, 36: resetCount goes up at each TPM Reset, restartCount at each
    restart or resume and to 0 at a reset; the clock goes on through all of them, but for what an
    unorderly shutdown loses.

    :raises ClockWentBack: one of them did.
    """
    if last is None:
        return
    before = (last.reset_count, last.restart_count)
    now = (facts.reset_count, facts.restart_count)
    if now < before:
        raise ClockWentBack("the TPM counts fewer resets or restarts than it did before")
    if now == before and facts.clock < last.clock:
        raise ClockWentBack("the TPM's clock went back without a reset")


def check_event_log(policy: HostPolicy, evidence: HostEvidence, facts: QuoteFacts) -> EventLog:
    """Return the log; what stands in it is under the quote by way of its digests.

    :raises EventLogAbsent, EventLogError, EventLogMismatch: no log, none that can be read, or
        none that comes to the quoted values.
    """
    replayed = replayed_pcrs(policy)
    if not replayed:
        raise PolicyEmpty(f"policy {policy.name} names no PCR bank to hold the event log against")
    if evidence.event_log is None:
        raise EventLogAbsent(f"policy {policy.name} asks for an event log and none was sent")
    quoted = {
        bank: {index: value for index, value in facts.pcrs.get(bank, {}).items() if index in asked}
        for bank, asked in replayed.items()
    }
    fault: LaterLogError | None = None
    try:
        log = measured_log(evidence.event_log, evidence.later_log, quoted)
    except LaterLogError as exc:
        # Nothing of it may have been extended into the PCRs that count here.
        log, fault = measured_log(evidence.event_log, None, quoted), exc
    wrong: list[str] = []
    for bank, indexes in replayed.items():
        wrong += replay_differences(log, {bank: quoted[bank]}, indexes)
    if wrong and fault is not None:
        raise fault
    if wrong:
        raise EventLogMismatch(f"the event log does not come to the quoted PCR {', '.join(wrong)}")
    return log


def replayed_pcrs(policy: HostPolicy) -> PcrSelection:
    """Return the PCRs that an event log must come to for *policy*."""
    wanted = {bank: set(policy.event_log_pcrs) for bank in policy.pcrs if policy.event_log_pcrs}
    if (events := policy.events) is not None:
        wanted.setdefault(events.bank, set(policy.event_log_pcrs)).update(events.pcrs)
    return {bank: sorted(indexes) for bank, indexes in wanted.items()}


def _add_event_rows(
    rows: Rows, policy: HostPolicy, evidence: HostEvidence, facts: QuoteFacts
) -> None:
    held = "the event log comes to the quoted values"
    log = rows.run(EVENT_LOG, held, lambda: check_event_log(policy, evidence, facts))
    if policy.events is not None:
        add_event_policy_row(rows, policy.events, log, policy.name)


def add_event_policy_row(rows: Rows, rules: EventRules, log: EventLog | None, policy: str) -> None:
    """Add the row of *rules*; *log* is None where its replay was no success."""
    if log is None:
        rows.not_reached(EVENT_POLICY, EVENT_LOG)
        return
    held = f"every event is one that policy {policy} accepts"
    found = rows.run(EVENT_POLICY, held, lambda: check_events(rules, log, policy))
    if found is not None and found.unseen:
        told = f"{held}; {found.unseen} of {found.accepted} without a look, as it says"
        rows.checks[-1] = replace(rows.checks[-1], reason=told)


def add_ima_rows(
    rows: Rows,
    policy: HostPolicy,
    evidence: HostEvidence,
    facts: QuoteFacts,
    known: ImaSeen | None,
) -> ImaSeen | None:
    """Add the rows of the IMA list, where *policy* has rules for it, and of what the list says of
    mandatory access control and device-mapper; return how far it was good."""
    rules = policy.ima
    if rules is None:
        return None

    def read() -> ReadList:
        begun = _begun(policy, evidence, known, facts.reset_count)
        return read_list(rules, evidence.ima, begun, facts.pcrs)

    found = rows.run(IMA_LIST, "the IMA list comes to the quoted PCR 10", read)
    if found is None:
        rows.not_reached(IMA_POLICY, IMA_LIST)
        if policy.mac is not None:
            rows.not_reached(MAC_STATE, IMA_LIST)
        if policy.device_mapper is not None:
            rows.not_reached(DEVICE_MAPPER, IMA_LIST)
        return None
    looked = look_at_entries(rules, found)
    reset = facts.reset_count
    held = f"every entry is one that policy {policy.name} accepts"
    seen = rows.run(
        IMA_POLICY,
        held,
        lambda: check_entries(rules, found, looked, policy.fingerprint, reset),
    )
    if seen is not None:
        told = f"{held}: {told_of(rules, seen)}"
        rows.checks[-1] = replace(rows.checks[-1], reason=told)
    if (mac := policy.mac) is not None:
        met = found.begun.met if found.begun is not None else ()
        held = f"SELinux enforced, as policy {policy.name} accepts, since it had a policy"
        states = [one for one in looked.apart if one.name in MAC_BUFFERS]
        rows.run(MAC_STATE, held, lambda: check_mac(mac, states, met))
        if rows.checks[-1].outcome != "pass":
            seen = None
    if policy.device_mapper is not None:
        seen = _add_device_mapper_row(rows, policy, found.begun, looked, seen)
    return seen


def _add_device_mapper_row(
    rows: Rows,
    policy: HostPolicy,
    begun: ImaSeen | None,
    looked: LookedAt,
    seen: ImaSeen | None,
) -> ImaSeen | None:
    rules = policy.device_mapper or ()
    held = f"every device-mapper table is one that policy {policy.name} accepts"
    measured = [one for one in looked.apart if one.name in DM_BUFFERS]
    before = begun.tables if begun is not None else ()
    tables = rows.run(DEVICE_MAPPER, held, lambda: check_dm(rules, measured, before))
    if tables is not None:
        rows.checks[-1] = replace(rows.checks[-1], reason=f"{held}; {told_of_tables(tables)}")
    if tables is None or seen is None:
        return None
    # A table whose last part is still to come is looked at once more, from where this part began.
    return begun if tables.unfinished else replace(seen, tables=tables.kept)


def _begun(
    policy: HostPolicy, evidence: HostEvidence, known: ImaSeen | None, reset_count: int
) -> ImaSeen | None:
    if evidence.ima_from == 0:
        return None
    due = (evidence.ima_from, policy.fingerprint, reset_count)
    if known is None or (known.offset, known.policy, known.reset_count) != due:
        raise ImaListMismatch("the IMA list goes on from where no good attestation ended")
    return known


def _names_values(policy: HostPolicy) -> bool:
    # A policy of nothing at all keeps the row, and fails it.
    return bool(policy.pcrs) or policy.events is None


def check_domains(domains: list[RunningDomain], known_launches: Collection[str]) -> None:
    """Every domain that demands trust has a launch of record.

    :raises EvidenceError: there are more domains than any host runs.
    :raises UnrecordedDomain: names those that have none, or the first of very many.
    """
    if len(domains) > MAX_DOMAINS:
        raise EvidenceError(f"{len(domains)} running domains, at most {MAX_DOMAINS} are read")
    wrong = [
        f"{_plain(domain.instance)} ({_plain(domain.name)})"
        for domain in domains
        if domain.demands_trust and domain.launch not in known_launches
    ]
    if wrong:
        more = len(wrong) - _MOST_NAMED
        named = ", ".join(wrong[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        raise UnrecordedDomain(f"runs without a launch record: {named}")


def _plain(text: str) -> str:
    return printable(text, 64)


def _add_unreached(rows: Rows, policy: HostPolicy) -> None:
    after = rows.first_failed
    asked = [
        (TPM_IDENTITY, policy.tpm is not None),
        (CLOCK, True),
        (EVENT_LOG, policy.wants_event_log),
        (EVENT_POLICY, policy.events is not None),
        (PCR_POLICY, _names_values(policy)),
        (IMA_LIST, policy.ima is not None),
        (IMA_POLICY, policy.ima is not None),
        (MAC_STATE, policy.mac is not None),
        (DEVICE_MAPPER, policy.device_mapper is not None),
        (RUNNING_DOMAINS, True),
    ]
    for name in [name for name, due in asked if due]:
        rows.not_reached(name, after)
