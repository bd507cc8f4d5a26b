# SPDX-License-Identifier: Apache-2.0
"""Where this host stands with the verifier, as the agent last heard."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from e2etrust_core.errors import E2ETrustError
from e2etrust_core.messages import LeaseGrant, Refusal


@dataclass(frozen=True, slots=True)
class Standing:
    """``until`` is on the monotonic clock."""

    enrolled: bool = False
    lease: str | None = None
    until: float = 0.0
    problem: Refusal | None = None

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.until - time.monotonic())


class StandingBoard:
    """Holds the last standing; told by the attestation loop, read by everyone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standing = Standing()

    def read(self) -> Standing:
        with self._lock:
            return self._standing

    def enrolled(self) -> None:
        with self._lock:
            old = self._standing
            self._standing = Standing(True, old.lease, old.until)

    def leased(self, lease: LeaseGrant) -> None:
        with self._lock:
            self._standing = Standing(True, lease.id, time.monotonic() + lease.seconds)

    def refused(self, refusal: Refusal) -> None:
        """The verdict was not trusted: the lease is over."""
        with self._lock:
            self._standing = Standing(True, problem=refusal)

    def failed(self, problem: E2ETrustError) -> None:
        """No verdict came: what lease there is runs out by itself."""
        with self._lock:
            old = self._standing
            told = Refusal(problem.code, problem.reason, problem.remedy)
            self._standing = Standing(old.enrolled, old.lease, old.until, told)
