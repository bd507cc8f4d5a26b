# SPDX-License-Identifier: Apache-2.0
"""A tenant's own verification of the chain host -> launch -> guest, from evidence alone.

The launch record's signature (JWS) is checked before by whoever holds the verifier's keys; here
its claims are held against what the TPMs of host and guest signed.
"""

from __future__ import annotations

import hmac

from e2etrust_core.appraisal.checks import Rows
from e2etrust_core.appraisal.errors import (
    GuestEvidenceAbsent,
    GuestKeyUnproven,
    GuestLogMismatch,
    HostChanged,
    HostRebooted,
    LaunchNotMeasured,
    RecordForeign,
)
from e2etrust_core.appraisal.model import HostPolicy, Verdict
from e2etrust_core.appraisal.pcr_checks import check_policy, replay_differences
from e2etrust_core.appraisal.policy import selection_of
from e2etrust_core.evidence.event_log import parse_event_log
from e2etrust_core.evidence.ima_list import IMA_PCR
from e2etrust_core.evidence.model import GuestEvidence, GuestIdentity, PcrSelection, Quote
from e2etrust_core.evidence.quote import QuoteFacts, verify_quote
from e2etrust_core.launch import launch_binding, server_binding
from e2etrust_core.messages import LaunchRecord, ServerEvidence
from e2etrust_core.suites import HASHES

#: What a guest must quote: all that its firmware measures, in the bank of the launch's digests.
GUEST_SELECTION: PcrSelection = {"sha256": list(range(8))}

GUEST_ROWS = ("guest-ak", "guest-quote", "guest-launch", "guest-log")


def verify_server(
    record: LaunchRecord,
    server: ServerEvidence,
    nonce: bytes,
    credential_secret: bytes | None,
    policy: HostPolicy | None = None,
    *,
    challenged: GuestIdentity | None = None,
) -> Verdict:
    """Hold *server* (second round: guest and host quoted together) against *record*.

    Rows: launch-record, launch-host, host-quote, host-policy (with *policy*), guest-ak,
    guest-quote, guest-launch, guest-log.  Bad evidence is a failed row, never an exception.

    :param nonce: the tenant's own, fresh; the guest's quote carries it as it is, the host's
        quote bound to the launch and all of the guest's evidence.
    :param credential_secret: the secret of the credential made for *challenged*.
    :param policy: what the tenant itself asks of the host, if anything.
    :param challenged: the identity of the first round, that the credential was made for; it
        must be the very one the evidence is of, or a software key could answer for a vTPM's.
    """
    rows = Rows()
    launched = rows.run(
        "launch-record",
        "the host's TPM signed this launch, bound to all that was measured",
        lambda: _launch_facts(record, policy),
    )
    rows.run(
        "launch-host",
        "the evidence is of this launch on this host",
        lambda: _check_same_launch(record, server),
    )
    now = _run_host_quote(rows, record, server, nonce, launched)
    if policy is not None:
        _run_policy(rows, policy, now)
    _run_guest(rows, record, server.guest, server.identity, nonce, credential_secret, challenged)
    return Verdict(rows.checks)


def _launch_facts(record: LaunchRecord, policy: HostPolicy | None) -> QuoteFacts:
    evidence = record.evidence
    return verify_quote(
        evidence.quote,
        record.host_ak_public,
        launch_binding(record.nonce, record.request, evidence.domains),
        selection_of(policy) if policy is not None else _claimed(evidence.quote),
        record.host_ek_public,
    )


def _claimed(quote: Quote) -> PcrSelection:
    """What the values sent are of; verify_quote refuses none at all, and any not signed."""
    return {bank: sorted(values) for bank, values in quote.pcrs.items() if values}


def _check_same_launch(record: LaunchRecord, server: ServerEvidence) -> None:
    if server.launch != record.jti:
        raise RecordForeign("the evidence is of another launch than the record")
    if server.host != record.host:
        raise RecordForeign("the evidence comes from another host than the record's")
    if record.lease.id != record.request.measurement.lease:
        raise RecordForeign("the record's lease is not the one that was measured")


def _run_host_quote(
    rows: Rows,
    record: LaunchRecord,
    server: ServerEvidence,
    nonce: bytes,
    launched: QuoteFacts | None,
) -> QuoteFacts | None:
    if launched is None:
        rows.not_reached("host-quote", "launch-record")
        return None
    at_launch = launched

    def body() -> QuoteFacts:
        if server.host_quote is None or server.guest is None:
            raise GuestEvidenceAbsent("host and guest did not quote together")
        now = verify_quote(
            server.host_quote,
            record.host_ak_public,
            server_binding(nonce, server.launch, server.guest),
            _claimed(record.evidence.quote),
            record.host_ek_public,
        )
        _check_host_unchanged(at_launch, now)
        return now

    return rows.run(
        "host-quote", "the same host signed the guest's answer and is as it was at launch", body
    )


def _check_host_unchanged(launched: QuoteFacts, now: QuoteFacts) -> None:
    if now.reset_count != launched.reset_count:
        raise HostRebooted("the host was reset since the launch, and no server survives that")
    if (now.restart_count, now.clock) < (launched.restart_count, launched.clock):
        raise HostRebooted("the host's TPM clock stands before the launch")
    changed = [
        f"{bank}:{index}"
        for bank, values in launched.pcrs.items()
        for index, value in values.items()
        # What the host runs goes on into PCR 10, and is the verifier's to appraise.
        if index != IMA_PCR and now.pcrs.get(bank, {}).get(index) != value
    ]
    if changed:
        raise HostChanged(f"the host's PCR {', '.join(changed)} changed since the launch")


def _run_policy(rows: Rows, policy: HostPolicy, now: QuoteFacts | None) -> None:
    if now is None:
        rows.not_reached("host-policy", "host-quote")
        return
    pcrs = now.pcrs
    rows.run(
        "host-policy",
        f"the host is as policy {policy.name} asks",
        lambda: check_policy(policy, pcrs),
    )


def _run_guest(
    rows: Rows,
    record: LaunchRecord,
    guest: GuestEvidence | None,
    identity: GuestIdentity,
    nonce: bytes,
    secret: bytes | None,
    challenged: GuestIdentity | None,
) -> None:
    proven = rows.run(
        GUEST_ROWS[0],
        "the guest's attestation key lives in the vTPM that opened the credential",
        lambda: _check_guest_key(guest, identity, secret, challenged),
    )
    if proven is None:
        for name in GUEST_ROWS[1:]:
            rows.not_reached(name, GUEST_ROWS[0])
        return
    quoted = rows.run(
        GUEST_ROWS[1],
        "the guest's vTPM answered this nonce",
        lambda: verify_quote(
            proven.quote,
            proven.identity.ak_public,
            nonce,
            GUEST_SELECTION,
            proven.identity.ek_public,
        ),
    )
    if quoted is None:
        for name in GUEST_ROWS[2:]:
            rows.not_reached(name, GUEST_ROWS[1])
        return
    facts = quoted
    rows.run(
        GUEST_ROWS[2],
        "the guest's PCR 0 starts from this launch's measurement",
        lambda: _check_launch_measured(record, proven, facts),
    )
    rows.run(
        GUEST_ROWS[3],
        "the guest's event log comes to its PCRs 0 to 7",
        lambda: _check_guest_log(record, proven, facts),
    )


def _check_guest_key(
    guest: GuestEvidence | None,
    identity: GuestIdentity,
    secret: bytes | None,
    challenged: GuestIdentity | None,
) -> GuestEvidence:
    if guest is None:
        raise GuestEvidenceAbsent("the guest sent no evidence")
    if challenged is None or not secret:
        raise GuestKeyUnproven("no credential was sent to the guest's vTPM")
    if guest.identity != challenged or identity != challenged:
        raise GuestKeyUnproven("the guest's keys are not those the credential was made for")
    if guest.activated is None or not hmac.compare_digest(guest.activated, secret):
        raise GuestKeyUnproven("the guest's vTPM did not open the credential")
    return guest


def _check_launch_measured(record: LaunchRecord, guest: GuestEvidence, facts: QuoteFacts) -> None:
    if _guest_differences(record, guest, facts, [0]):
        raise LaunchNotMeasured("the guest's PCR 0 does not start from this launch's measurement")


def _check_guest_log(record: LaunchRecord, guest: GuestEvidence, facts: QuoteFacts) -> None:
    wrong = _guest_differences(record, guest, facts, GUEST_SELECTION["sha256"])
    if wrong:
        raise GuestLogMismatch(f"the guest's event log does not come to PCR {', '.join(wrong)}")


def _guest_differences(
    record: LaunchRecord, guest: GuestEvidence, facts: QuoteFacts, indexes: list[int]
) -> list[str]:
    log = parse_event_log(guest.event_log)
    wrong = []
    for bank in GUEST_SELECTION:
        seed = record.request.measurement.hcrtm_pcr0(HASHES[bank].hashlib_name)
        wrong += replay_differences(log, {bank: facts.pcrs[bank]}, indexes, seed)
    return wrong
