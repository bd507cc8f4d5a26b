# SPDX-License-Identifier: Apache-2.0
"""What the verifier knows of a host before it looks at new evidence, and what it gets back."""

from __future__ import annotations

from dataclasses import dataclass, field

from e2etrust_core.appraisal.model import Verdict
from e2etrust_core.evidence.quote import QuoteFacts
from e2etrust_core.suites import Suite


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """The TPM clock of the last good quote: milliseconds, and the counts of resets and restarts."""

    clock: int
    reset_count: int
    restart_count: int


@dataclass(frozen=True, slots=True)
class ImaSeen:
    """How far a host's IMA list was accepted, and by which policy (its fingerprint).

    ``value`` is PCR 10 after ``entries`` entries, which take up ``offset`` bytes of the list;
    ``reset_count`` that of the quote; ``met`` the required entries that were among them;
    ``excluded_by`` how many each of the policy's patterns left out, in their order; ``keys`` the
    measured keys that check signatures (:mod:`e2etrust_core.evidence.ima_measured_keys`);
    ``tables`` the device-mapper tables that were accepted (:mod:`.dm_checks`); ``aggregate`` what
    boot_aggregate was of, empty where a release before left it.
    """

    policy: str
    reset_count: int
    value: bytes
    offset: int
    entries: int
    excluded: int = 0
    violations: int = 0
    met: list[str] = field(default_factory=list)
    excluded_by: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    aggregate: bytes = b""


@dataclass(frozen=True, slots=True)
class HostReference:
    """The one immutable record of a host: TPMT_PUBLIC areas of EK and AK.

    ``last_clock`` is None before the first good quote; ``ima`` is what was known of its IMA list
    when the challenge was drawn.  ``ek_certificate`` (DER) is as the host sent it; by what the EK
    was accepted, ``ek_accepted_by`` tells: ``inventory``, or ``certificate:`` and its SHA-256.
    """

    host: str
    ek_public: bytes
    ak_public: bytes
    suite: Suite
    last_clock: ClockSeen | None = None
    ima: ImaSeen | None = None
    ek_certificate: bytes | None = None
    ek_accepted_by: str = ""


@dataclass(frozen=True, slots=True)
class Appraisal:
    """The verdict; ``facts`` (quoted values, clock) are there as soon as the quote is genuine.

    A quote that is not ``genuine`` was not made by this host for this challenge: it says nothing
    about the host, and must not change what is known of it.
    """

    verdict: Verdict
    facts: QuoteFacts | None = None
    genuine: bool = False
    #: What to keep as the next ``ima``; None where the list was not asked for or not accepted.
    ima: ImaSeen | None = None
    known_launches: frozenset[str] = frozenset()

    @property
    def clock(self) -> ClockSeen | None:
        """What to keep as the next ``last_clock``."""
        if self.facts is None:
            return None
        return ClockSeen(self.facts.clock, self.facts.reset_count, self.facts.restart_count)
