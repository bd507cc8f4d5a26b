# SPDX-License-Identifier: Apache-2.0
"""The ``events`` section of a policy: read, and written out again.

Fields of a rule: ``type`` (a name of TCG PFP 1.05, table 27, or a number), ``pcr`` (one or a
list), ``times`` (a number, ``[least, most]``, ``optional`` or ``any``; once if not said),
``phase`` (``before`` or ``after`` the PCR's separator, or ``any``), and one way to accept:
``digests``, ``measured`` and ``measured_text``; ``data``; ``text`` and ``like``; ``variable`` (with
``vendor``) and its ``data``, ``text`` and ``like``, or ``only`` and ``including`` entries; ``each``
and ``has``; or ``anything: true``.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from e2etrust_core.appraisal.event_rules import (
    Accept,
    Anything,
    DataAmong,
    DatabaseHas,
    DigestAmong,
    EventRule,
    EventRules,
    FieldsLike,
    Phase,
    TextLike,
    VariableIs,
    VariableLike,
)
from e2etrust_core.appraisal.policy_event_fields import fields_document, parse_fields
from e2etrust_core.crypto import digest_of
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.events.kinds import (
    EV_EFI_VARIABLE_DRIVER_CONFIG,
    VARIABLE_KINDS,
    kind_of_name,
    name_of_kind,
)
from e2etrust_core.evidence.events.text import encodings
from e2etrust_core.evidence.events.variables import (
    EFI_GLOBAL,
    IMAGE_SECURITY_DATABASE,
    SHIM_LOCK,
)
from e2etrust_core.suites import HASHES

_FIELDS = {"bank", "pcrs", "rules"}
_RULE_FIELDS = {"type", "pcr", "times", "phase"}
#: Which fields may stand together to say what is accepted.
_WAYS: tuple[frozenset[str], ...] = (
    frozenset({"digests", "measured", "measured_text"}),
    frozenset({"data"}),
    frozenset({"text", "like"}),
    frozenset({"variable", "vendor", "data"}),
    frozenset({"variable", "vendor", "text", "like"}),
    frozenset({"variable", "vendor", "only", "including"}),
    frozenset({"each", "has"}),
    frozenset({"anything"}),
)
_BY_DIGEST = {"digests", "measured", "measured_text"}
_WAY_FIELDS = frozenset().union(*_WAYS)
_MAX_RULES = 4096
_MAX_TIMES = 1024
_SECURE_BOOT_PCR = 7
_ENTRY = re.compile(r"(x509|sha256|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}):[0-9a-f]{64}")
_VENDORS = {
    **dict.fromkeys(("SecureBoot", "PK", "KEK", "AuditMode", "DeployedMode"), EFI_GLOBAL),
    **dict.fromkeys(("SetupMode", "BootOrder", "BootNext"), EFI_GLOBAL),
    **dict.fromkeys(("db", "dbx", "dbt", "dbr"), IMAGE_SECURITY_DATABASE),
    **dict.fromkeys(("MokList", "MokListX", "MokListTrusted", "SbatLevel", "Shim"), SHIM_LOCK),
    "vendor_db": IMAGE_SECURITY_DATABASE,
}


def parse_events(value: object) -> EventRules:
    """Read the section.

    :raises PolicyError: a field that is missing, unknown or wrong, or rules that decide nothing.
    """
    section = _mapping(value, "events")
    _no_others(section, _FIELDS, "events")
    bank = section.get("bank", "sha256")
    if bank not in HASHES:
        raise PolicyError(f"events: bank: known are {', '.join(HASHES)}")
    pcrs = _pcrs(section.get("pcrs"), "events: pcrs")
    rules = section.get("rules")
    if not isinstance(rules, list) or not 1 <= len(rules) <= _MAX_RULES:
        raise PolicyError(f"events: rules: a list of 1 to {_MAX_RULES} rules")
    found = EventRules(
        bank, pcrs, tuple(_rule(rule, bank, pcrs, n) for n, rule in enumerate(rules, 1))
    )
    if not found.decides:
        raise PolicyError("events: rules: none of them asks for any event that it looks at")
    return found


def events_document(rules: EventRules) -> dict[str, Any]:
    """Return the section as plain values; :func:`parse_events` reads it back."""
    return {
        "bank": rules.bank,
        "pcrs": list(rules.pcrs),
        "rules": [_rule_document(rule) for rule in rules.rules],
    }


def vendor_of(name: str) -> UUID | None:
    """Return whose variable *name* is, where a specification says so."""
    return EFI_GLOBAL if re.fullmatch(r"Boot[0-9A-F]{4}", name) else _VENDORS.get(name)


def _rule(value: object, bank: str, pcrs: tuple[int, ...], number: int) -> EventRule:
    where = f"events: rule {number}"
    rule = _mapping(value, where)
    _no_others(rule, _RULE_FIELDS | _WAY_FIELDS, where)
    kind = _kind(rule.get("type"))
    if kind is None:
        raise PolicyError(f"{where}: type: the name of an event type, such as EV_SEPARATOR")
    in_pcrs = _pcrs(rule.get("pcr"), f"{where}: pcr")
    if not set(in_pcrs) <= set(pcrs):
        raise PolicyError(f"{where}: pcr: a PCR that events: pcrs does not name")
    least, most = _times(rule.get("times", 1), where)
    return EventRule(
        in_pcrs,
        kind,
        _accept(rule, kind, bank, where),
        least,
        most,
        _phase(rule.get("phase", _usual_phase(kind, in_pcrs)), where),
    )


def _kind(value: object) -> int | None:
    """YAML reads a number that is not quoted as one."""
    number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
    return kind_of_name(f"{value:#010x}" if number else str(value))


def _usual_phase(kind: int, pcrs: tuple[int, ...]) -> Phase:
    """What firmware measures of secure boot stands before the separator (PFP 1.05, 3.3.4.8)."""
    return "before" if kind == EV_EFI_VARIABLE_DRIVER_CONFIG and _SECURE_BOOT_PCR in pcrs else "any"


def _phase(value: object, where: str) -> Phase:
    if value not in ("any", "before", "after"):
        raise PolicyError(f"{where}: phase: before, after or any")
    return value


def _times(value: object, where: str) -> tuple[int, int | None]:
    """A number, ``[least, most]`` (most may be ``any``), ``optional`` or ``any``."""
    words: dict[object, list[object]] = {"any": [0, "any"], "optional": [0, 1]}
    pair = words.get(value, [value, value]) if not isinstance(value, list) else value
    if len(pair) == 2 and (least := _count(pair[0])) is not None:
        most = _count(pair[1])
        if pair[1] == "any":
            return least, None
        if most is not None and most >= max(least, 1):
            return least, most
    raise PolicyError(f"{where}: times: a number, [least, most], optional or any")


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MAX_TIMES else None


def _accept(rule: dict[str, Any], kind: int, bank: str, where: str) -> Accept:
    said = _WAY_FIELDS & rule.keys()
    way = next((way for way in _WAYS if said and said <= way), None)
    if way is None or said == {"vendor"}:
        raise PolicyError(f"{where}: one way to accept is due: {_ways()}")
    if "anything" in said:
        if rule["anything"] is not True:
            raise PolicyError(f"{where}: anything: true, or leave it out")
        return Anything()
    if said <= _BY_DIGEST:
        return DigestAmong(_digests(rule, bank, where))
    if said <= {"each", "has"}:
        return parse_fields(rule, where)
    if "variable" in said or "vendor" in said:
        return _variable(rule, kind, where)
    if "data" in said:
        return DataAmong(_hexes(rule["data"], f"{where}: data"))
    if said <= {"text", "like"}:
        return _text(rule, where)
    raise PolicyError(f"{where}: only and including are about a variable")


def _ways() -> str:
    return "digests or measured, data, text or like, variable, each or has, anything"


def _digests(rule: dict[str, Any], bank: str, where: str) -> frozenset[bytes]:
    """What was measured is compiled into what its digests are: nothing of it is in the log."""
    name = HASHES[bank].hashlib_name
    found = set[bytes]()
    if "digests" in rule:
        found |= _hexes(rule["digests"], f"{where}: digests", HASHES[bank].size)
    if "measured" in rule:
        measured = _hexes(rule["measured"], f"{where}: measured")
        found |= {digest_of(name, data) for data in measured}
    texts = _texts(rule.get("measured_text", []), f"{where}: measured_text")
    found |= {digest_of(name, raw) for text in texts for raw in encodings(text)}
    if not found:
        raise PolicyError(f"{where}: measured_text: a list of texts; it may not be empty")
    return frozenset(found)


def _text(rule: dict[str, Any], where: str) -> TextLike:
    texts = _texts(rule.get("text", []), f"{where}: text")
    return TextLike(frozenset(texts), _texts(rule.get("like", []), f"{where}: like"))


def _variable(
    rule: dict[str, Any], kind: int, where: str
) -> VariableIs | VariableLike | DatabaseHas:
    name = rule.get("variable")
    if kind not in VARIABLE_KINDS or not isinstance(name, str) or not 0 < len(name) <= 128:
        raise PolicyError(f"{where}: variable: a name, with a type of variables")
    vendor = vendor_of(name) if "vendor" not in rule else _guid(rule["vendor"], where)
    if vendor is None:
        raise PolicyError(f"{where}: vendor: the GUID whose variable {name} is")
    if "data" in rule:
        return VariableIs(vendor, name, _hexes(rule["data"], f"{where}: data"))
    if {"text", "like"} & rule.keys():
        return VariableLike(vendor, name, _text(rule, where))
    if not {"only", "including"} & rule.keys():
        raise PolicyError(
            f"{where}: variable: its data, text or like, or entries (only, including)"
        )
    only = None if "only" not in rule else _entries(rule["only"], f"{where}: only")
    return DatabaseHas(vendor, name, only, _entries(rule.get("including", []), where))


def _guid(value: object, where: str) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise PolicyError(f"{where}: vendor: a GUID") from None


def _entries(value: object, where: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(
        isinstance(one, str) and _ENTRY.fullmatch(one) for one in value
    ):
        raise PolicyError(f"{where}: a list of entries such as x509:<SHA-256> or sha256:<hash>")
    return frozenset(value)


def _hexes(value: object, where: str, size: int | None = None) -> frozenset[bytes]:
    if not isinstance(value, list) or not value:
        raise PolicyError(f"{where}: a list of hexadecimal texts; it may not be empty")
    found = set()
    for text in value:
        if not isinstance(text, str) or not re.fullmatch(r"([0-9a-fA-F]{2})*", text):
            raise PolicyError(f"{where}: every entry is text of hexadecimal digits")
        if size is not None and len(text) != 2 * size:
            raise PolicyError(f"{where}: every digest is {2 * size} hexadecimal digits")
        found.add(bytes.fromhex(text))
    return frozenset(found)


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise PolicyError(f"{where}: a list of texts")
    return tuple(value)


def _pcrs(value: object, where: str) -> tuple[int, ...]:
    listed = value if isinstance(value, list) else [value]
    found = {one for one in listed if isinstance(one, int) and not isinstance(one, bool)}
    if not listed or len(found) != len(listed) or not all(0 <= one < 24 for one in found):
        raise PolicyError(f"{where}: PCR numbers, 0 to 23, each once")
    return tuple(sorted(found))


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"{where}: a mapping of fields")
    return value


def _no_others(found: dict[str, Any], known: set[str] | frozenset[str], where: str) -> None:
    unknown = sorted(str(key) for key in found if key not in known)
    if unknown:
        raise PolicyError(f"{where}: unknown field {unknown[0]!r}")


def _rule_document(rule: EventRule) -> dict[str, Any]:
    pcr: int | list[int] = rule.pcrs[0] if len(rule.pcrs) == 1 else list(rule.pcrs)
    times = [rule.at_least, "any" if rule.at_most is None else rule.at_most]
    document = {"type": name_of_kind(rule.kind), "pcr": pcr, "phase": rule.phase, "times": times}
    return {**document, **_accept_document(rule.accept)}


def _accept_document(accept: Accept) -> dict[str, Any]:
    match accept:
        case DigestAmong(digests):
            return {"digests": sorted(one.hex() for one in digests)}
        case DataAmong(data):
            return {"data": sorted(one.hex() for one in data)}
        case TextLike():
            return _text_document(accept)
        case FieldsLike():
            return fields_document(accept)
        case VariableLike(vendor, name, contents):
            return {"variable": name, "vendor": str(vendor), **_text_document(contents)}
        case VariableIs(vendor, name, data):
            held = sorted(one.hex() for one in data)
            return {"variable": name, "vendor": str(vendor), "data": held}
        case DatabaseHas(vendor, name, only, including):
            entries = {"including": sorted(including)}
            if only is not None:
                entries["only"] = sorted(only)
            return {"variable": name, "vendor": str(vendor), **entries}
        case Anything():
            return {"anything": True}


def _text_document(accept: TextLike) -> dict[str, Any]:
    said = {"text": sorted(accept.exact), "like": list(accept.patterns)}
    return {field: texts for field, texts in said.items() if texts}
