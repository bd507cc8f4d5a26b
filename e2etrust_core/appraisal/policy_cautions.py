# SPDX-License-Identifier: Apache-2.0
"""What a policy accepts that may be more than was meant: allowed, and told."""

from __future__ import annotations

from collections.abc import Iterator

from e2etrust_core.appraisal.event_rules import Anything, EventRules
from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.evidence.replay import RESETTABLE_PCRS

#: What firmware measures itself and what boots into; of which a policy is expected to hold some.
_BOOT_PCRS = frozenset({*range(10), 11, 12, 17, 18})
#: Of which some tell a kernel, or its command line, from another: loader, GRUB, systemd-stub, DRTM.
_KERNEL_PCRS = frozenset({4, 8, 9, 11, 12, 17, 18})
#: Firmware measures something into each of them, if only a separator (TCG PFP 1.05, 3.3.4).
_FIRMWARE_PCRS = range(8)
#: A host that goes bad in silence stays trusted for as long.
_LONG_LEASE = 900


def cautions(policy: HostPolicy) -> list[str]:
    """Return a sentence for each thing by which *policy* may trust more than was meant."""
    return list(_cautions(policy))


def _cautions(policy: HostPolicy) -> Iterator[str]:
    decided = decided_pcrs(policy)
    for bank in sorted(bank for bank in {*decided, *_ima_banks(policy)} if bank == "sha1"):
        yield f"bank {bank} decides: other contents can be made with the same digest; use sha256"
    numbers = {index for indexes in decided.values() for index in indexes}
    for index in sorted(numbers & RESETTABLE_PCRS):
        yield f"PCR {index} decides nothing: whoever runs on the host resets it"
    if numbers and not numbers & _BOOT_PCRS:
        yield "no PCR of what boots (0 to 9, 11, 12, 17, 18) is held to anything"
    elif policy.ima is not None and not numbers & _KERNEL_PCRS:
        yield "ima: no PCR (4, 8, 9, 11, 12, 17, 18) tells which kernel measures, and if it does"
    for bank, index in _unmeasured(policy):
        yield (
            f"PCR {bank}:{index} may be as nothing was measured into it: where firmware leaves out"
            " a bank, root extends it at will (CVE-2021-42299)"
        )
    yield from _unseen(policy.events)
    if (ima := policy.ima) is not None and (ima.allowed or ima.keyring):
        for pattern in (one for one in ima.exclude if not set(one) - set("/*")):
            yield f"ima: exclude: {pattern} accepts every file: allow and signed_by decide nothing"
    if policy.lease_seconds > _LONG_LEASE:
        yield f"a host that goes bad in silence stays trusted for {policy.lease_seconds} seconds"


def _unseen(events: EventRules | None) -> Iterator[str]:
    """An event's type is under no digest: whoever rewrites the log calls it as a rule likes."""
    for number, rule in enumerate(events.rules if events is not None else (), 1):
        if isinstance(rule.accept, Anything):
            many = "any number of events" if rule.at_most is None else f"{rule.at_most} events"
            pcrs = ", ".join(map(str, rule.pcrs))
            yield f"events: rule {number} accepts {many} of PCR {pcrs}, of whatever type they are"


def decided_pcrs(policy: HostPolicy) -> dict[str, set[int]]:
    """Return by bank the PCRs that values or event rules hold to something."""
    found = {bank: {*indexes, *policy.event_log_pcrs} for bank, indexes in policy.pcrs.items()}
    if (events := policy.events) is not None:
        found.setdefault(events.bank, set()).update(events.pcrs)
    return found


def _ima_banks(policy: HostPolicy) -> set[str]:
    return set() if policy.ima is None else {policy.ima.bank, policy.ima.aggregate_bank}


def _unmeasured(policy: HostPolicy) -> list[tuple[str, int]]:
    return [
        (bank, index)
        for bank, indexes in policy.pcrs.items()
        for index in sorted(indexes.keys() & set(_FIRMWARE_PCRS))
        if any(not any(value) for value in indexes[index])
    ]
