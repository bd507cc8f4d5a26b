# SPDX-License-Identifier: Apache-2.0
"""The checks of recorded evidence: pure functions of a folder's values, a row each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from e2etrust_client.appraise.folder import LATER_LOG, RecordedEvidence, RecordedQuote
from e2etrust_core.appraisal.appraise import (
    DEVICE_MAPPER,
    EVENT_LOG,
    EVENT_POLICY,
    IMA_LIST,
    IMA_POLICY,
    MAC_STATE,
    PCR_POLICY,
    TPM_IDENTITY,
    add_event_policy_row,
    add_ima_rows,
    closed_windows,
    replayed_pcrs,
)
from e2etrust_core.appraisal.checks import Rows
from e2etrust_core.appraisal.errors import EventLogAbsent, EventLogMismatch, EventNotCovered
from e2etrust_core.appraisal.event_match import place_of
from e2etrust_core.appraisal.model import CheckResult, HostPolicy, Verdict
from e2etrust_core.appraisal.pcr_checks import check_policy, replay_differences
from e2etrust_core.appraisal.policy import selection_of
from e2etrust_core.appraisal.reference import HostReference
from e2etrust_core.appraisal.tpm_checks import check_tpm, vouched
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.ek_certificate import verify_ek_certificate
from e2etrust_core.evidence.errors import AkRefused, ImaListMismatch, QuoteError, SignerForeign
from e2etrust_core.evidence.event_log import INFORMATIVE, EventLog
from e2etrust_core.evidence.events.coverage import coverage
from e2etrust_core.evidence.events.kinds import (
    EV_EFI_ACTION,
    EV_EFI_GPT_EVENT,
    EV_EFI_VARIABLE_DRIVER_CONFIG,
)
from e2etrust_core.evidence.events.text import covered_text
from e2etrust_core.evidence.ima_list import IMA_PCR, entries_quoted, parse_ima_list
from e2etrust_core.evidence.later_log import joined_as_quoted
from e2etrust_core.evidence.model import HostEvidence, PcrSelection, PcrValues
from e2etrust_core.evidence.quote import (
    QUOTE_CHECKS,
    QuoteCase,
    check_signature,
    check_signer,
    open_quote,
)
from e2etrust_core.launch import hcrtm_pcr0
from e2etrust_core.suites import HASHES

#: Events whose digest is of what the log says (PFP 1.05, 10.4.1), and is so in every real log.
_SAID = {EV_EFI_ACTION, EV_EFI_GPT_EVENT, EV_EFI_VARIABLE_DRIVER_CONFIG}
#: PCRs whose whole content firmware and boot loader log (PFP 3.3.4).
_FIRMWARE_PCRS = range(8)
_HELD = {
    "quote-signer": "the quote is signed as its attestation key signs",
    "quote-signature": "the attestation key signed the quote",
    "quote-nonce": "the quote carries the nonce",
    "quote-selection": "the quote covers every PCR that is asked for",
    "quote-digest": "the PCR values are those quoted",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What the evidence is held against; what is None is not checked, and said to be so."""

    policy: HostPolicy | None = None
    nonce: bytes | None = None
    launch_measurement: bytes | None = None
    ek_authorities: bytes | None = None

    @property
    def log_wanted_by(self) -> str:
        """Who asks for an event log; empty: nobody."""
        if self.launch_measurement is not None:
            return "the launch measurement"
        wanted = self.policy is not None and self.policy.wants_event_log
        return f"policy {self.policy.name}" if self.policy is not None and wanted else ""


@dataclass(frozen=True, slots=True)
class Row:
    """A check, and where its evidence is: the quote's name, or a file."""

    where: str
    result: CheckResult


@dataclass(frozen=True, slots=True)
class Outcome:
    """``unchecked``: what was not asked, in words."""

    rows: list[Row]
    unchecked: list[str]

    @property
    def trusted(self) -> bool:
        return bool(self.rows) and all(row.result.outcome == "pass" for row in self.rows)


def appraise_recorded(evidence: RecordedEvidence, question: Question, now: datetime) -> Outcome:
    """Appraise every quote of *evidence*; the folder is trusted if every row passes."""
    found: list[Row] = []
    for recorded in evidence.quotes:
        verdict = _verdict(recorded, evidence, question, now)
        if question.policy is not None and (wider := question.policy.wider) and not verdict.trusted:
            before = _verdict(recorded, evidence, replace(question, policy=wider), now)
            verdict = closed_windows(verdict, before)
        found += [Row(recorded.name, result) for result in verdict.checks]
    return Outcome(found, _unchecked(evidence, question))


def _verdict(
    recorded: RecordedQuote, evidence: RecordedEvidence, question: Question, now: datetime
) -> Verdict:
    rows = Rows()
    _quote_rows(rows, recorded, evidence, question, now)
    return Verdict(rows.checks)


def _quote_rows(
    rows: Rows,
    recorded: RecordedQuote,
    evidence: RecordedEvidence,
    question: Question,
    now: datetime,
) -> None:
    quote = recorded.quote
    wanted = _selection(recorded, question.policy)
    held = "the quote is one that a TPM made, and its key one that may sign quotes"
    case = rows.run(
        "quote-structure", held, lambda: _open(recorded, evidence, question.nonce, wanted)
    )
    for name, check in QUOTE_CHECKS:
        if name == "quote-nonce" and question.nonce is None:
            continue
        if case is None or not rows.all_passed:
            rows.not_reached(name, rows.first_failed)
        else:
            rows.run(name, _HELD[name], partial(check, case))
    if case is None or not rows.all_passed:
        _add_unreached(rows, evidence, question, recorded)
        return
    if question.ek_authorities is not None or (question.policy and question.policy.tpm):
        held = "an authority vouches for the endorsement key that the quote's key is under"
        if question.ek_authorities is None:
            held = "the TPM is as the policy accepts"
        rows.run(TPM_IDENTITY, held, lambda: _check_tpm(case, evidence, question, now))
    log = evidence.event_log
    if log is not None:
        held = "the event log comes to the quoted values"
        if (later := evidence.later_log) is not None:
            log, counted = _with_later(log, later, recorded, question)
            held += f", with {counted} of {len(later.events)} records of {LATER_LOG}"
        if silent := sorted(quote.pcrs.keys() - set(log.banks)):
            held += f"; it has no digests of {', '.join(silent)}"
        rows.run(EVENT_LOG, held, partial(_check_log, recorded, log, question))
    elif asker := question.log_wanted_by:
        rows.run(EVENT_LOG, "", partial(_refuse_absence, asker))
    policy = question.policy
    if policy is not None and policy.ima is not None:
        found = HostEvidence(quote, ima=evidence.ima)
        add_ima_rows(rows, policy, found, case.facts(), None)
    elif evidence.ima is not None and any(IMA_PCR in values for values in quote.pcrs.values()):
        held = "the IMA list comes to the quoted PCR 10"
        covered = rows.run(IMA_LIST, held, partial(_check_ima, recorded, evidence.ima))
        if covered is not None:
            rows.checks[-1] = replace(rows.checks[-1], reason=f"{held}, with {covered}")
    if policy is not None:
        _policy_rows(rows, policy, recorded, log)


def _add_unreached(
    rows: Rows, evidence: RecordedEvidence, question: Question, recorded: RecordedQuote
) -> None:
    """Every check that would have been made has its line."""
    policy = question.policy
    quotes_ima = any(IMA_PCR in values for values in recorded.quote.pcrs.values())
    asked = [
        (TPM_IDENTITY, question.ek_authorities is not None or (policy and policy.tpm)),
        (EVENT_LOG, evidence.event_log or question.log_wanted_by),
        (IMA_LIST, (policy and policy.ima) or (evidence.ima is not None and quotes_ima)),
        (IMA_POLICY, policy and policy.ima),
        (MAC_STATE, policy and policy.mac),
        (DEVICE_MAPPER, policy and policy.device_mapper is not None),
        (EVENT_POLICY, policy and policy.events),
        (PCR_POLICY, policy and (policy.pcrs or policy.events is None)),
    ]
    for name in [name for name, due in asked if due]:
        rows.not_reached(name, rows.first_failed)


def _with_later(
    log: EventLog, later: EventLog, recorded: RecordedQuote, question: Question
) -> tuple[EventLog, int]:
    """Return the log with as many records of the later one as were quoted, and how many."""
    seeds = {bank: seed for bank in log.banks if (seed := _seed(question.launch_measurement, bank))}
    return joined_as_quoted(log, later, recorded.quote.pcrs, seeds)


def _selection(recorded: RecordedQuote, policy: HostPolicy | None) -> PcrSelection:
    if policy is not None:
        return selection_of(policy)
    return {bank: sorted(values) for bank, values in recorded.quote.pcrs.items()}


def _open(
    recorded: RecordedQuote, evidence: RecordedEvidence, nonce: bytes | None, wanted: PcrSelection
) -> QuoteCase:
    """Open the quote with the key of its own name, else with whichever of the folder signed it."""
    aks, conflicts = evidence.aks, evidence.ak_conflicts
    own = f"ak_{recorded.name.removeprefix('q_')}.tpmt"
    names = [own] if own in aks else sorted(aks)
    cases, fault = [], None
    for name in names:
        try:
            case = open_quote(recorded.quote, aks[name], nonce or b"", wanted)
            cases.append(case)
            check_signer(case)
            check_signature(case)
        except E2ETrustError as exc:
            fault = exc
        else:
            if name in conflicts:
                raise AkRefused(f"{conflicts[name]} is of another key than {name}")
            return case
    if cases:
        return cases[0]
    raise fault or QuoteError("no attestation key fits the quote")


def _check_tpm(
    case: QuoteCase, evidence: RecordedEvidence, question: Question, now: datetime
) -> None:
    """The qualified signer ties the quote to one EK (Library Part 1, 26.5), its certificate to
    a maker: neither says anything without the other (CVE-2021-3406)."""
    name, ek = _parent(case, evidence.eks)
    certificate = "ekcert" + name.removeprefix("ek").removesuffix(".pub") + ".der"
    found = evidence.ek_certificates.get(certificate)
    accepted_by = ""
    if question.ek_authorities is not None:
        bundle, chain = question.ek_authorities, evidence.ek_chain
        accepted_by = vouched(verify_ek_certificate(found, ek, bundle, now, chain))
    if question.policy is not None and question.policy.tpm is not None:
        ak, suite = case.ak_public, case.suite
        record = HostReference(
            name, ek, ak, suite, ek_certificate=found, ek_accepted_by=accepted_by
        )
        check_tpm(question.policy.tpm, record)


def _parent(case: QuoteCase, eks: dict[str, bytes]) -> tuple[str, bytes]:
    for name, ek in eks.items():
        try:
            check_signer(replace(case, ek_public=ek))
        except SignerForeign:
            continue
        return name, ek
    raise SignerForeign("the quote's key is under none of the folder's endorsement keys (ek_*.pub)")


def _check_log(recorded: RecordedQuote, log: EventLog, question: Question) -> None:
    asked = {event.pcr for event in log.events if event.kind not in INFORMATIVE} | {*_FIRMWARE_PCRS}
    asked -= {IMA_PCR}
    quoted, wrong = recorded.quote.pcrs, []
    for bank, named in replayed_pcrs(question.policy).items() if question.policy else ():
        seed = _seed(question.launch_measurement, bank)
        wrong += replay_differences(log, {bank: quoted.get(bank, {})}, named, seed)
    compared: set[int] = set()
    for bank, values in quoted.items():
        if bank not in log.banks:
            continue
        indexes = sorted(asked & set(values))
        compared |= set(indexes)
        seed = _seed(question.launch_measurement, bank)
        wrong += replay_differences(log, {bank: values}, indexes, seed)
    if wrong:
        listed = ", ".join(dict.fromkeys(wrong))
        raise EventLogMismatch(f"the event log does not come to the quoted PCR {listed}")
    if not compared:
        raise EventLogMismatch("the event log and the quote have no PCR bank in common")
    if question.launch_measurement is not None and 0 not in compared:
        raise EventLogMismatch("the quote does not cover PCR 0, which the launch is measured into")
    if question.policy is None:
        _check_words(log, quoted)


def _check_words(log: EventLog, quoted: PcrValues) -> None:
    """Nobody judges by words that no policy speaks of, and somebody reads them."""
    for number, event in enumerate(log.events, 1):
        banks = [bank for bank in event.digests if event.pcr in quoted.get(bank, {})]
        if event.kind in _SAID and any(
            coverage(event, bank) == "nothing" and covered_text(event, bank) is None
            for bank in banks
        ):
            raise EventNotCovered(
                "the log's words for it are not what the event's digest is of",
                where=place_of(number, event),
            )


def _seed(measurement: bytes | None, bank: str) -> bytes | None:
    if measurement is None:
        return None
    return hcrtm_pcr0(measurement, HASHES[bank].hashlib_name)


def _check_ima(recorded: RecordedQuote, ima: bytes) -> str:
    """Return how many of the list's entries the quote covers."""
    entries = parse_ima_list(ima)
    counts = {
        bank: entries_quoted(entries, bank, values[IMA_PCR])
        for bank, values in recorded.quote.pcrs.items()
        if IMA_PCR in values
    }
    wrong = sorted(bank for bank, count in counts.items() if count is None)
    if wrong:
        raise ImaListMismatch(f"no number of its entries comes to PCR 10 of {', '.join(wrong)}")
    if len(set(counts.values())) != 1:
        raise ImaListMismatch("the PCR banks stand at different entries of the list")
    return f"{next(iter(counts.values()))} of its {len(entries)} entries"


def _policy_rows(
    rows: Rows, policy: HostPolicy, recorded: RecordedQuote, log: EventLog | None
) -> None:
    if (rules := policy.events) is not None:
        # Whatever else failed: the log's words count if its replay came to the quoted values.
        came_to = any(r.check == EVENT_LOG and r.outcome == "pass" for r in rows.checks)
        add_event_policy_row(rows, rules, log if came_to else None, policy.name)
    if policy.pcrs or policy.events is None:
        held = f"every PCR is as policy {policy.name} accepts"
        rows.run(PCR_POLICY, held, lambda: check_policy(policy, recorded.quote.pcrs))


def _refuse_absence(asker: str) -> None:
    raise EventLogAbsent(f"{asker} asks for an event log and there is none")


def _unchecked(evidence: RecordedEvidence, question: Question) -> list[str]:
    said = []
    if question.policy is None:
        said.append("no policy was given: PCR values hang together, nobody said they are good")
    if question.nonce is None:
        said.append("no nonce was given: the quotes may be old")
    if question.ek_authorities is None:
        said.append("no EK authorities were given: the TPM may be anybody's")
    if evidence.event_log is None:
        said.append("the folder holds no event log (bios_log)")
        if evidence.later_log is not None:
            said.append(
                f"{LATER_LOG} goes on from an event log, and there is none: it was not read"
            )
    if evidence.ima is None:
        said.append("the folder holds no IMA list (ima_bin)")
    return said
