# SPDX-License-Identifier: Apache-2.0
"""What is said on the agent's Unix socket: one JSON line there, one JSON line back.

A request is ``{"op": NAME, "request": {…}}``; the answer has the shape of
:class:`e2etrust_core.messages.Reply`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.launch import LaunchRequest
from e2etrust_core.messages import Refusal

#: Longest line in either direction, in bytes; a launch record holds the host's event log.
MAX_LINE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Envelope:
    op: str
    request: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LaunchBegin:
    """Asks for a challenge to launch *instance*; the answer is a ``messages.Challenge``."""

    instance: str


@dataclass(frozen=True, slots=True)
class LaunchFinish:
    """The measured launch, under the nonce of the challenge."""

    nonce: bytes
    request: LaunchRequest


@dataclass(frozen=True, slots=True, repr=False)
class LaunchOpened:
    """A granted launch; ``key`` is the plain image key, None where the image is not sealed."""

    launch: str
    record: str
    key: bytes | None = None

    def __repr__(self) -> str:
        return f"LaunchOpened(launch={self.launch!r})"


@dataclass(frozen=True, slots=True)
class LaunchStarted:
    """The domain of a launch runs now; the agent finds its QEMU process by itself."""

    instance: str
    launch: str


@dataclass(frozen=True, slots=True)
class LaunchEnd:
    """A launch ended, or failed (``reason``: code and words)."""

    instance: str
    launch: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RefusalNote:
    """A start that the hook refused; ``at`` in seconds since the epoch by this host's clock."""

    instance: str
    project: str | None
    refusal: Refusal
    at: float


@dataclass(frozen=True, slots=True)
class AttestSummary:
    """What came of an attestation; ``failed`` holds the checks that did not pass."""

    trusted: bool
    lease: str | None
    failed: list[CheckResult] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """``lease_seconds`` are left by this host's clock; ``problem`` is the last failure."""

    host: str
    enrolled: bool
    lease: str | None
    lease_seconds: float
    problem: Refusal | None
    launches: int
    reports_waiting: int


@dataclass(frozen=True, slots=True)
class Done:
    """The answer of an operation that has no result."""
