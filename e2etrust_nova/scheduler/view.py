# SPDX-License-Identifier: Apache-2.0
"""One process's view of which hosts hold a lease, kept by deltas from the verifier."""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from oslo_log import log as logging

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.errors import E2ETrustError, InputError
from e2etrust_core.messages import HostTrust, LeaseDelta, Refusal
from e2etrust_core.one_line import printable
from e2etrust_core.trust_names import (
    HIGHEST_LEVEL,
    LOWEST_LEVEL,
    MIN_LEVEL_SPEC,
    NOTHING,
    TRUST_SPEC,
    UNREADABLE,
)

LOG = logging.getLogger(__name__)

#: Asks the verifier for what changed since a generation; raises E2ETrustError.
Source = Callable[[int], LeaseDelta]
Clock = Callable[[], float]

#: The end of a lease that a host does not have.
NEVER = float("-inf")

#: Seconds; no policy gives more (`lease_seconds`), so an answer that does is not the verifier's.
_LONGEST_LEASE = 3600.0

# Made once: ten thousand hosts may be refused for the same.
_UNREADABLE = Refusal(
    "DEMAND_UNREADABLE",
    f"{TRUST_SPEC} or {MIN_LEVEL_SPEC} of flavor or aggregate has a value that no host can meet,"
    " or there is another key trust:",
    "set the first to 'trusted', the second to a number from 1 to 9, or remove them; remove others",
)
_UNKNOWN = Refusal(
    "HOST_UNKNOWN",
    "the verifier knows no such host",
    "enrol it: start e2etrust-agent there, with the host name nova-compute uses",
)
_RAN_OUT = Refusal(
    "LEASE_NONE",
    "its lease ran out",
    "look at e2etrust-agent on the host and at e2etrust-verifier",
)
_RAN_OUT_UNHEARD = replace(_RAN_OUT, reason=f"{_RAN_OUT.reason} and the verifier does not answer")

#: Code -> the first refusal with it, and the names of all hosts that it is said of.
Refusals = dict[str, tuple[Refusal, list[str]]]

#: Ends of leases by host, one map for each level: hosts whose lease has it or a higher one.  The
#: map of the lowest level has those without a lease as well, but none that failed a check.  So one
#: look decides, whatever level is asked.
Deadlines = list[dict[str, float]]


class LeaseView:
    """Leases by host, with expiry by this process's own monotonic clock.

    A lease is counted from the moment *before* the question was sent, so that it ends here no
    later than at the verifier, whatever the network did.  A verifier that is away ends nothing
    and prolongs nothing: what is known runs out.  Thread-safe; belongs to one process.

    :param source: the question to the verifier.
    :param retry_interval: seconds without a question after one that failed.
    :param refresh_interval: seconds for which an answer serves further requests.
    """

    def __init__(
        self,
        source: Source,
        *,
        retry_interval: float,
        refresh_interval: float = 0.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._source = source
        self._retry_interval = retry_interval
        self._refresh_interval = refresh_interval
        self._clock = clock
        self._lock = threading.Lock()
        self._generation = 0
        self._deadlines = _no_deadlines()
        self._failed: dict[str, Refusal] = {}
        self._answered_for = NEVER
        self._not_before = NEVER
        self._down = False

    def deadlines(self, level: int = LOWEST_LEVEL) -> dict[str, float]:
        """Return the ends of the leases that have *level*, on this view's clock.

        Of the lowest level it has every known host but those that failed a check; of a level that
        nobody knows, none.  Read it, never write: it is the live map, for a copy would cost more
        than the filter.
        """
        return self._deadlines[min(level, UNREADABLE)]

    def now(self) -> float:
        """Return the time on this view's clock, seconds."""
        return self._clock()

    def refresh(self) -> None:
        """Ask the verifier what changed, at most once; never raises.

        Requests that come while another one asks wait for it and share an answer that was
        asked for after they came.
        """
        arrived = self._clock()
        with self._lock:
            if self._answered_for + self._refresh_interval >= arrived:
                return
            sent = self._clock()
            if sent < self._not_before:
                return
            try:
                delta = self._source(self._generation)
                self._check(delta)
            except E2ETrustError as exc:
                self._missed(exc)
            else:
                self._apply(delta, sent)

    def why_not(self, hosts: Iterable[tuple[str, int]]) -> Refusals:
        """Return why hosts hold no lease of a level, in the verifier's words where it said.

        :param hosts: names, each with the level that is asked.
        """
        refusals: Refusals = {}
        known, failed, now = self._deadlines[LOWEST_LEVEL], self._failed, self.now()
        # All in one loop, with no call for a host: a request may be refused ten thousand of them.
        for host, level in hosts:
            why = failed.get(host) if level < UNREADABLE else _UNREADABLE
            if why is None:
                end = known.get(host)
                if end is None:
                    why = _UNKNOWN
                elif level > LOWEST_LEVEL and end > now:
                    why = _too_low(level)
                else:
                    why = _RAN_OUT_UNHEARD if self._down else _RAN_OUT
            if why.code in refusals:
                refusals[why.code][1].append(host)
            else:
                refusals[why.code] = (why, [host])
        return refusals

    def _check(self, delta: LeaseDelta) -> None:
        if not delta.full and delta.generation < self._generation:
            # A verifier with an older database: what it left out is not known, so ask for all.
            self._generation = 0
            raise InputError("the verifier's generation went back", code="GENERATION_BACK")

    def _apply(self, delta: LeaseDelta, sent: float) -> None:
        if self._down:
            LOG.info("The verifier answers again")
            self._down = False
        self._answered_for = sent
        self._generation = delta.generation
        # A full answer replaces both maps at once, so that no reader sees an emptied one.
        deadlines = _no_deadlines() if delta.full else self._deadlines
        failed = {} if delta.full else self._failed
        for trust in delta.hosts:
            _record(trust, sent, deadlines, failed)
        self._deadlines, self._failed = deadlines, failed

    def _missed(self, exc: E2ETrustError) -> None:
        self._not_before = self._clock() + self._retry_interval
        # Told once, not for each scheduling request of an outage.
        log = LOG.debug if self._down else LOG.warning
        log(
            "No news of host trust (%s); known leases count until they run out. Next question "
            "in %.1f s at the earliest. %s",
            exc,
            self._retry_interval,
            exc.remedy,
        )
        self._down = True


def _record(
    trust: HostTrust,
    sent: float,
    deadlines: Deadlines,
    failed: dict[str, Refusal],
) -> None:
    if trust.failed:
        has, end = NOTHING, NEVER
        failed[trust.host] = _refusal_of(trust.failed[0])
    elif trust.seconds > 0:
        # A verifier that knows no levels vouches for the lowest.
        has, end = max(trust.level, LOWEST_LEVEL), sent + min(trust.seconds, _LONGEST_LEASE)
    else:
        has, end = LOWEST_LEVEL, NEVER
    for level in range(LOWEST_LEVEL, HIGHEST_LEVEL + 1):
        if level <= has:
            deadlines[level][trust.host] = end
        elif deadlines[level]:
            deadlines[level].pop(trust.host, None)
    if not trust.failed:
        failed.pop(trust.host, None)


def _refusal_of(check: CheckResult) -> Refusal:
    # Thousands of hosts may fail the same check: its words are kept, and looked at, once.
    return Refusal(
        sys.intern(printable(check.code or "CHECK_FAILED")),
        printable(f"{check.check}: {check.reason}"),
        sys.intern(printable(check.remedy)),
    )


@functools.cache
def _too_low(level: int) -> Refusal:
    return Refusal(
        "LEVEL_TOO_LOW",
        f"level {level} is demanded, its lease has less",
        "demand less, or have its policy give that level (level:)",
    )


def _no_deadlines() -> Deadlines:
    return [{} for _level in range(UNREADABLE + 1)]
