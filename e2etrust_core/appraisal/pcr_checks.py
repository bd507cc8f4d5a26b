# SPDX-License-Identifier: Apache-2.0
"""Checks of quoted PCR values: against a policy, and against what an event log comes to."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from e2etrust_core.appraisal.errors import PcrMismatch, PolicyEmpty
from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.evidence.event_log import EventLog
from e2etrust_core.evidence.model import PcrValues
from e2etrust_core.evidence.replay import replay


def check_policy(policy: HostPolicy, pcrs: PcrValues) -> None:
    """Every PCR that *policy* names has one of the values it accepts.

    :raises PolicyEmpty: it names none, or accepts no value of one.
    :raises PcrMismatch: names every PCR that differs.
    """
    named = [
        (bank, index, accepted)
        for bank, indexes in policy.pcrs.items()
        for index, accepted in indexes.items()
    ]
    if not named or not all(accepted for _, _, accepted in named):
        raise PolicyEmpty(f"policy {policy.name} accepts nothing: an empty policy trusts nobody")
    wrong = [
        f"{bank}:{index}"
        for bank, index, accepted in named
        if not _is_accepted(pcrs.get(bank, {}).get(index), accepted)
    ]
    if wrong:
        raise PcrMismatch(f"PCR {', '.join(wrong)} not as policy {policy.name} accepts")


def replay_differences(
    log: EventLog, pcrs: PcrValues, indexes: Iterable[int], seed_pcr0: bytes | None = None
) -> list[str]:
    """Return ``bank:index`` of each of *indexes* whose quoted value *log* does not come to.

    Every quoted bank is compared; a PCR that is not quoted differs.

    :raises EventLogBankAbsent: the log knows nothing of a quoted bank.
    """
    asked = list(indexes)
    wrong = []
    for bank, values in pcrs.items():
        replayed = replay(log, bank, seed_pcr0)
        for index in asked:
            quoted = values.get(index)
            if quoted is None or not hmac.compare_digest(quoted, replayed.get(index, b"")):
                wrong.append(f"{bank}:{index}")
    return wrong


def _is_accepted(value: bytes | None, accepted: list[bytes]) -> bool:
    return value is not None and any(hmac.compare_digest(value, good) for good in accepted)
