# SPDX-License-Identifier: Apache-2.0
"""Host policies as text: YAML in, a checked :class:`.model.HostPolicy` out."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import yaml

from e2etrust_core.appraisal.dm_rules import DmRule
from e2etrust_core.appraisal.ima_checks import AGGREGATE_PCRS
from e2etrust_core.appraisal.ima_rules import ImaRules
from e2etrust_core.appraisal.mac_rules import MAC_BUFFERS, MacRules
from e2etrust_core.appraisal.model import HostPolicy, Recovery
from e2etrust_core.appraisal.patterns import HOST_PATTERN
from e2etrust_core.appraisal.policy_dm import parse_dm
from e2etrust_core.appraisal.policy_events import parse_events
from e2etrust_core.appraisal.policy_ima import PolicyFiles, parse_ima
from e2etrust_core.appraisal.policy_mac import parse_mac
from e2etrust_core.appraisal.policy_tpm import parse_tpm
from e2etrust_core.appraisal.policy_windows import as_of, moments_of
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.device_mapper import DM_BUFFERS
from e2etrust_core.evidence.ima_list import IMA_PCR
from e2etrust_core.evidence.model import PcrSelection
from e2etrust_core.evidence.replay import RESETTABLE_PCRS
from e2etrust_core.suites import HASHES
from e2etrust_core.trust_names import HIGHEST_LEVEL, LOWEST_LEVEL

_MAX_TEXT = 1024 * 1024
_MAX_LEASE = 3600
MAX_VERSION = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FIELDS = {"name", "hosts", "pcrs", "event_log_pcrs", "lease_seconds", "recovery"}
_FIELDS |= {"events", "ima", "observe", "version", "level", "mac", "tpm", "device_mapper"}


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice: the second would silently win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str | int):
                raise PolicyError("a policy's keys are words and PCR numbers")
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise PolicyError(f"key {sorted(map(str, twice))[0]!r} stands twice")
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        # Aliases let a small text grow without end.
        if self.check_event(yaml.events.AliasEvent):
            raise PolicyError("a policy has no YAML aliases")
        return super().compose_node(parent, index)


@dataclass(frozen=True, slots=True)
class TimedPolicy:
    """A policy's text: what it says before the first of ``moments``, between them and after.

    ``states`` are one more than moments; each accepts less than the one before.
    """

    moments: tuple[datetime, ...]
    states: tuple[HostPolicy, ...]

    def at(self, moment: datetime | None) -> HostPolicy:
        """Return what holds at *moment*; None: before any window closes."""
        return self.states[0 if moment is None else bisect_right(self.moments, moment)]


def parse_policy(
    text: str, files: PolicyFiles | None = None, at: datetime | None = None
) -> HostPolicy:
    """Read one policy, as it stands at the moment *at* (None: before any window closes).

    :param text: YAML, as shown at :class:`.model.HostPolicy`; digests are hexadecimal text.
    :param files: the allowlists and keyrings that the text may name; None: it may name none.
    :raises PolicyError: not YAML, or a field that is missing, unknown or wrong; it is named.
    """
    return parse_timed_policy(text, files).at(at)


def parse_timed_policy(text: str, files: PolicyFiles | None = None) -> TimedPolicy:
    """Read one policy with all its windows.

    :raises PolicyError: as :func:`parse_policy`; also where nothing would be left to accept after
        a window closes.
    """
    document = _read(text)
    moments = tuple(moments_of(document))
    states = [_state(document, text, files, None)]
    for moment in moments:
        try:
            state = _state(document, text, files, moment)
        except PolicyError as exc:
            raise PolicyError(f"from {moment.isoformat()} on: {exc.reason}") from None
        first = states[0]
        states.append(replace(state, wider=first, edition=first.edition))
    ends = (*moments, None)
    timed = tuple(replace(one, until=end) for one, end in zip(states, ends, strict=True))
    return TimedPolicy(moments, timed)


def _read(text: str) -> dict[str, Any]:
    if len(text) > _MAX_TEXT:
        raise PolicyError(f"policy of {len(text)} characters, at most {_MAX_TEXT} are read")
    try:
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        line = getattr(getattr(exc, "problem_mark", None), "line", None)
        where = f" (line {line + 1})" if line is not None else ""
        raise PolicyError(f"the policy is not YAML{where}") from None
    if not isinstance(document, dict):
        raise PolicyError("the policy is not a mapping of fields")
    unknown = sorted(str(key) for key in document if key not in _FIELDS)
    if unknown:
        raise PolicyError(f"unknown field {unknown[0]!r}")
    return document


def _state(
    whole: dict[str, Any], text: str, files: PolicyFiles | None, moment: datetime | None
) -> HostPolicy:
    document = as_of(whole, moment)
    events = None if "events" not in document else parse_events(document["events"])
    # Events say more than the value they come to: a policy that has rules for them needs no values.
    observe = _observe(document.get("observe", {}))
    # A policy that only observes is one, and trusts nobody.
    without = "pcrs" not in document and (events is not None or observe)
    values = {} if without else _pcrs(document.get("pcrs"))
    mac = _mac(document)
    tables = _device_mapper(document)
    apart = MAC_BUFFERS if mac is not None else frozenset()
    apart |= DM_BUFFERS if tables is not None else frozenset()
    ima = None if "ima" not in document else parse_ima(document["ima"], files, apart)
    numbers = {index for indexes in values.values() for index in indexes}
    numbers |= set() if events is None else set(events.pcrs)
    if numbers and numbers <= RESETTABLE_PCRS:
        raise PolicyError("it decides by PCRs only that whoever runs on the host resets (16, 23)")
    return HostPolicy(
        name=_name(document.get("name")),
        hosts=_hosts(document.get("hosts")),
        pcrs=values,
        event_log_pcrs=_indexes(document.get("event_log_pcrs", [])),
        lease_seconds=_lease(document.get("lease_seconds", 60)),
        recovery=_recovery(document.get("recovery", "operator")),
        events=events,
        ima=ima,
        mac=mac,
        device_mapper=tables,
        tpm=None if "tpm" not in document else parse_tpm(document["tpm"]),
        observe=observe,
        level=_level(document.get("level", LOWEST_LEVEL)),
        fingerprint=_fingerprint(text, ima, moment),
        version=_version(document.get("version")),
        edition=_fingerprint(text, ima, None),
    )


def selection_of(policy: HostPolicy) -> PcrSelection:
    """Return the PCRs to ask a host for; empty for a policy that names none."""
    wanted = {bank: set(indexes) for bank, indexes in _appraised(policy).items()}
    for bank, indexes in policy.observe.items():
        wanted.setdefault(bank, set()).update(indexes)
    return {bank: sorted(indexes) for bank, indexes in wanted.items()}


def _appraised(policy: HostPolicy) -> PcrSelection:
    wanted = {
        bank: {*indexes, *policy.event_log_pcrs} for bank, indexes in policy.pcrs.items() if indexes
    }
    if (events := policy.events) is not None:
        wanted.setdefault(events.bank, set(policy.event_log_pcrs)).update(events.pcrs)
    if (ima := policy.ima) is not None:
        wanted.setdefault(ima.bank, set()).add(IMA_PCR)
        wanted.setdefault(ima.aggregate_bank, set()).update(AGGREGATE_PCRS)
    return {bank: sorted(indexes) for bank, indexes in wanted.items()}


def steady_selection(policy: HostPolicy) -> PcrSelection:
    """Return the PCRs that *policy* decides on and that stay as they are while the host runs."""
    selection = _appraised(policy)
    if policy.ima is not None:
        bank = policy.ima.bank
        selection[bank] = [index for index in selection[bank] if index != IMA_PCR]
    return {bank: indexes for bank, indexes in selection.items() if indexes}


def _fingerprint(text: str, ima: ImaRules | None, moment: datetime | None) -> str:
    parts = [text.encode()]
    if moment is not None:
        parts.append(moment.isoformat().encode())
    if ima is not None:
        parts += [allowed.digest for allowed in ima.allowed]
        parts.append(ima.keyring.fingerprint)
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _mac(document: dict[str, Any]) -> MacRules | None:
    if "mac" not in document:
        return None
    if "ima" not in document:
        raise PolicyError("mac: it is read from the IMA list: give the policy ima as well")
    return parse_mac(document["mac"])


def _device_mapper(document: dict[str, Any]) -> tuple[DmRule, ...] | None:
    if "device_mapper" not in document:
        return None
    if "ima" not in document:
        raise PolicyError(
            "device_mapper: it is read from the IMA list: give the policy ima as well"
        )
    return parse_dm(document["device_mapper"])


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise PolicyError("name: 1 to 64 letters, digits, dots, dashes or underscores")
    return value


def _version(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_VERSION:
        raise PolicyError(f"version: a number from 1 to {MAX_VERSION}")
    return value


def _hosts(value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        raise PolicyError('hosts: a list of host names or patterns, such as ["*"]')
    if not all(isinstance(one, str) and 0 < len(one) <= 255 for one in value):
        raise PolicyError("hosts: every entry is a host name or pattern")
    if wrong := [one for one in value if not re.fullmatch(HOST_PATTERN, one)]:
        raise PolicyError(
            f"hosts: {wrong[0][:64]!r} can be no host's name; * stands for any characters and ? for"
            " any one, sets in brackets are no patterns: name each of them"
        )
    return list(value)


def _pcrs(value: object) -> dict[str, dict[int, list[bytes]]]:
    if not isinstance(value, dict) or not value:
        raise PolicyError("pcrs: a mapping of banks, such as sha256, to PCRs; it may not be empty")
    banks: dict[str, dict[int, list[bytes]]] = {}
    for bank, indexes in value.items():
        if bank not in HASHES:
            raise PolicyError(f"pcrs: no bank is called {bank!r}; known: {', '.join(HASHES)}")
        if not isinstance(indexes, dict) or not indexes:
            raise PolicyError(f"pcrs: {bank} is a mapping of PCR numbers to lists of values")
        banks[bank] = {
            _index(index, f"pcrs: {bank}"): _values(bank, index, accepted)
            for index, accepted in indexes.items()
        }
    return banks


def _values(bank: str, index: object, accepted: object) -> list[bytes]:
    where = f"pcrs: {bank}: {index}"
    if not isinstance(accepted, list) or not accepted:
        raise PolicyError(f"{where}: a list of accepted values; it may not be empty")
    size = HASHES[bank].size
    values = []
    for text in accepted:
        if not isinstance(text, str) or not re.fullmatch(f"[0-9a-fA-F]{{{size * 2}}}", text):
            raise PolicyError(f"{where}: every value is text of {size * 2} hexadecimal digits")
        values.append(bytes.fromhex(text))
    return values


def _observe(value: object) -> PcrSelection:
    if not isinstance(value, dict) or not all(bank in HASHES for bank in value):
        raise PolicyError(f"observe: a mapping of banks to PCRs; known: {', '.join(HASHES)}")
    return {bank: _indexes(indexes, f"observe: {bank}") for bank, indexes in value.items()}


def _index(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 24:
        raise PolicyError(f"{where}: PCR numbers are 0 to 23")
    return value


def _indexes(value: object, where: str = "event_log_pcrs") -> list[int]:
    if not isinstance(value, list):
        raise PolicyError(f"{where}: a list of PCR numbers")
    return sorted({_index(one, where) for one in value})


def _lease(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_LEASE:
        raise PolicyError(f"lease_seconds: 1 to {_MAX_LEASE}")
    return value


def _level(value: object) -> int:
    highest = HIGHEST_LEVEL
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= highest:
        raise PolicyError(f"level: 1 to {highest}")
    return value


def _recovery(value: object) -> Recovery:
    if value not in ("operator", "automatic"):
        raise PolicyError("recovery: operator or automatic")
    return value
