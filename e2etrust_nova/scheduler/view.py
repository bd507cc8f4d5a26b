# SPDX-License-Identifier: Apache-2.0
"""One process's view of which hosts hold a lease, kept by deltas from the verifier."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from oslo_log import log as logging

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.errors import E2ETrustError, InputError
from e2etrust_core.messages import HostTrust, LeaseDelta, Refusal
from e2etrust_core.one_line import printable
from e2etrust_core.trust_names import HIGHEST_LEVEL, LOWEST_LEVEL, UNREADABLE

LOG = logging.getLogger(__name__)

#: Asks the verifier for what changed since a generation; raises E2ETrustError.
Source = Callable[[int], LeaseDelta]
Clock = Callable[[], float]

#: The end of a lease that a host does not have.
NEVER = float("-inf")

#: Seconds; no policy gives more (`lease_seconds`), so an answer that does is not the verifier's.
_LONGEST_LEASE = 3600.0

# Made once: ten thousand hosts may be refused for the same.
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

#: Ends of leases by host, one map for each level: hosts whose lease has it or a higher one.  The
#: map of the lowest level has all hosts.  So one look decides, whatever level is asked.
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

        Of the lowest level it has every known host; of a level that nobody knows, none.  Read
        it, never write: it is the live map, for a copy would cost more than the filter.
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

    def why_not(self, hosts: Iterable[tuple[str, int]]) -> Iterator[Refusal]:
        """Yield why each host holds no lease of its level, in the verifier's words where it said.

        :param hosts: names, each with the level that is asked.
        """
        known, failed, now = self._deadlines[LOWEST_LEVEL], self._failed, self.now()
        ran_out = _RAN_OUT_UNHEARD if self._down else _RAN_OUT
        for host, level in hosts:
            end = known.get(host)
            if end is None:
                yield _UNKNOWN
            elif level > LOWEST_LEVEL and end > now:
                yield _too_low(level)
            else:
                yield failed.get(host, ran_out)

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
    leased = trust.seconds > 0 and not trust.failed
    end = sent + min(trust.seconds, _LONGEST_LEASE) if leased else NEVER
    # A verifier that knows no levels vouches for the lowest.
    deadlines[LOWEST_LEVEL][trust.host] = end
    for level in range(LOWEST_LEVEL + 1, HIGHEST_LEVEL + 1):
        if leased and trust.level >= level:
            deadlines[level][trust.host] = end
        elif deadlines[level]:
            deadlines[level].pop(trust.host, None)
    if trust.failed:
        failed[trust.host] = _refusal_of(trust.failed[0])
    else:
        failed.pop(trust.host, None)


def _refusal_of(check: CheckResult) -> Refusal:
    return Refusal(
        printable(check.code or "CHECK_FAILED"),
        printable(f"{check.check}: {check.reason}"),
        printable(check.remedy),
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
