# SPDX-License-Identifier: Apache-2.0
"""Policy, check results and verdicts as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from e2etrust_core.appraisal.dm_rules import DmRule
from e2etrust_core.appraisal.event_rules import EventRules
from e2etrust_core.appraisal.ima_rules import ImaRules
from e2etrust_core.appraisal.mac_rules import MacRules
from e2etrust_core.appraisal.patterns import is_like
from e2etrust_core.appraisal.tpm_rules import TpmRules
from e2etrust_core.evidence.ima_list import IMA_PCR
from e2etrust_core.evidence.model import PcrSelection

Outcome = Literal["pass", "fail"]
Recovery = Literal["operator", "automatic"]


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """What a host must prove.  An empty policy trusts nobody.

    ``pcrs``: bank -> PCR index -> accepted values; ``event_log_pcrs``: the PCRs whose value must
    also come out of replaying the host's TCG event log; ``lease_seconds``: how long a pass
    holds; ``recovery``: whether a host that failed comes back by a later pass (``automatic``) or
    only when an operator approves it (``operator``); ``events``: what the event log may and must
    hold (:mod:`.policy_events`), in place of PCR values or besides them; ``ima``: what its IMA list
    may and must hold (:mod:`.policy_ima`), besides them; ``mac``: what it must say of mandatory
    access control (:mod:`.policy_mac`); ``device_mapper``: what it may and must say of
    device-mapper tables (:mod:`.policy_dm`), None: nothing is read of them; ``tpm``: which TPM
    the host may have (:mod:`.policy_tpm`);
    ``observe``: PCRs that are quoted, and recorded with the event log, without deciding anything;
    ``level``: what a host that satisfies it is good for, on the operator's own scale of 1 to 9;
    ``fingerprint``: SHA-256 (hex) of the text that it was read from, of the files that the text
    names and of the time it is for; ``version``: a number that goes up with each change, None:
    nobody counts; ``edition``: SHA-256 (hex) of text and files, whatever the time.

    A policy may accept less from a moment on (:mod:`.policy_windows`): then ``until`` is when this
    one ends, and ``wider`` what held before the first window closed.

    As YAML (one file a policy)::

        name: compute
        hosts: ["*"]
        pcrs: {sha256: {0: ["<hex>"], 7: ["<hex>", "<hex>"]}}
        event_log_pcrs: [0, 1, 2, 3, 4, 5, 6, 7]
        lease_seconds: 60
        recovery: operator
    """

    name: str
    hosts: list[str]
    pcrs: dict[str, dict[int, list[bytes]]]
    event_log_pcrs: list[int] = field(default_factory=list)
    lease_seconds: int = 60
    recovery: Recovery = "operator"
    events: EventRules | None = None
    ima: ImaRules | None = None
    mac: MacRules | None = None
    tpm: TpmRules | None = None
    observe: PcrSelection = field(default_factory=dict)
    level: int = 1
    fingerprint: str = ""
    version: int | None = None
    edition: str = ""
    until: datetime | None = None
    wider: HostPolicy | None = None
    device_mapper: tuple[DmRule, ...] | None = None

    def speaks_of(self, host: str) -> bool:
        """Say whether *host* is one of ``hosts``."""
        return any(is_like(host, pattern) for pattern in self.hosts)

    def lease_at(self, now: datetime) -> float:
        """Return how many seconds a lease may last that is granted *now*: not beyond ``until``."""
        seconds = float(self.lease_seconds)
        return seconds if self.until is None else min(seconds, (self.until - now).total_seconds())

    @property
    def wants_event_log(self) -> bool:
        """Whether the log decides anything."""
        return bool(self.event_log_pcrs) or self.events is not None

    @property
    def asks_ima(self) -> bool:
        """Whether the IMA list is sent: it may be only to be recorded, by a policy that observes
        PCR 10 and decides nothing."""
        if self.pcrs or self.events is not None:
            return self.ima is not None
        return self.ima is not None or any(IMA_PCR in listed for listed in self.observe.values())

    @property
    def asks_event_log(self) -> bool:
        """Whether the log is sent: it may be only to be recorded."""
        return self.wants_event_log or bool(self.observe)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its name, its outcome, why, and what to do.

    ``reason`` and ``remedy`` are written for the operator and carry no expected value.
    ``code`` is the short word a refusal begins with.  ``where`` is the place in the evidence
    that it is about, such as ``event 12 (PCR 7, EV_SEPARATOR)`` or ``ima 4711``; empty where the
    evidence as a whole is meant.
    """

    check: str
    outcome: Outcome
    reason: str
    code: str = ""
    remedy: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of one appraisal; trusted only if there are checks and every one passed."""

    checks: list[CheckResult]

    @property
    def trusted(self) -> bool:
        return bool(self.checks) and all(c.outcome == "pass" for c in self.checks)

    @property
    def failed(self) -> list[CheckResult]:
        return [c for c in self.checks if c.outcome != "pass"]
