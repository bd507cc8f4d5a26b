# SPDX-License-Identifier: Apache-2.0
"""What schedulers are told of leases, and the end of leases that ran out."""

from __future__ import annotations

from sqlalchemy.orm import Session

from e2etrust_core.messages import DeltaRequest, HostTrust, LeaseDelta
from e2etrust_verifier.db import events, hosts, leases
from e2etrust_verifier.trust import current_policy, standing
from e2etrust_verifier.trust.surroundings import Surroundings


def delta(around: Surroundings, request: DeltaRequest) -> LeaseDelta:
    """Return every host whose trust changed after generation ``since``.

    All hosts, marked full, where this database cannot know what the caller has.
    """

    def work(session: Session) -> LeaseDelta:
        first, last = hosts.counter(session)
        full = not first <= request.since <= last
        changed = hosts.changed_since(session, 0 if full else request.since)
        # The clock is read after the rows: an answer may promise too little, never too much.
        now = around.now()
        told = [
            HostTrust(
                s.host,
                standing.seconds_left(s, now),
                standing.failed_checks(s),
                standing.level(s, now),
            )
            for s in changed
        ]
        return LeaseDelta(last, full, told)

    return around.db.read(work)


def sweep(around: Surroundings) -> list[str]:
    """End leases that ran out and return their hosts."""
    now = around.now()
    run_out = around.db.read(lambda s: leases.run_out(s, now))
    # A host without a policy it could satisfy gets no challenge: that is why nothing came.
    why = current_policy.missing(around, run_out)

    def work(session: Session) -> list[str]:
        ended = []
        for host in run_out:
            state = hosts.lock_state(session, host, now)
            if state.lease_id is None or standing.has_lease(state, now):
                continue  # renewed or ended by another worker meanwhile
            reason = why.get(host, standing.EXPIRED)
            standing.withdraw(session, state, [reason], now, why="expired", hold=False)
            events.add(
                session, "lease-expired", reason.reason, now=now, host=host, codes=(reason.code,)
            )
            ended.append(host)
        return ended

    ended = around.db.write(work)
    for host in ended:
        around.changed(host)
    return ended
