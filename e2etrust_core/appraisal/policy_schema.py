# SPDX-License-Identifier: Apache-2.0
"""Host policies as JSON Schema (2020-12), for editors and for whoever writes policies by program.

:func:`.policy.parse_policy` decides; the schema says the same as far as a schema can.
"""

from __future__ import annotations

from typing import Any

from e2etrust_core.appraisal.patterns import HOST_PATTERN
from e2etrust_core.appraisal.policy import MAX_VERSION
from e2etrust_core.appraisal.policy_dm import ATTRIBUTE, MAX_RULES, NOW, ROOT_DIGEST, TARGET
from e2etrust_core.appraisal.policy_event_fields import MAX_PATTERNS
from e2etrust_core.appraisal.policy_ima import FILE_NAME
from e2etrust_core.appraisal.policy_mac import ANY, FLAG, POLICY_DIGEST
from e2etrust_core.appraisal.policy_tpm import ACCEPTED_BY, EK_DIGEST, MANUFACTURER
from e2etrust_core.appraisal.policy_windows import MOMENT
from e2etrust_core.evidence.events.fields import FIELDS
from e2etrust_core.evidence.events.kinds import KIND_NUMBER, KINDS
from e2etrust_core.suites import HASHES, SUITES
from e2etrust_core.trust_names import HIGHEST_LEVEL, LOWEST_LEVEL

_PCR = {"type": "integer", "minimum": 0, "maximum": 23}
_BANK = {"enum": list(HASHES)}
_HEX = {"type": "string", "pattern": "^([0-9a-fA-F]{2})*$"}
_TEXT = {"type": "string", "minLength": 1}
_FILE = {"type": "string", "pattern": f"^{FILE_NAME}$"}
_ENTRY = {"type": "string", "pattern": "^(x509|sha256|[0-9a-f-]{36}):[0-9a-f]{64}$"}

#: Of which one is there, where the list is not read for `mac` alone.
_IMA_ACCEPTS = [{"required": [way]} for way in ("allow", "signed_by", "buffers")]


def _accepted(value: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A list of accepted values, each by itself or in a window (:mod:`.policy_windows`)."""
    window = _object(
        {"accept": value, "until": {"type": "string", "pattern": f"^{MOMENT}$"}}, "accept", "until"
    )
    return {"type": "array", "items": {"anyOf": [value, window]}, **more}


#: The second number goes up with each addition, the first where a policy may not be one any more.
SCHEMA_VERSION = "1.3"


def policy_schema() -> dict[str, Any]:
    """Return the schema of a whole policy; its ``$id`` ends in :data:`SCHEMA_VERSION`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:e2etrust:host-policy:{SCHEMA_VERSION}",
        "title": "E2ETrust host policy",
        **_object(
            {
                "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
                "hosts": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "string", "pattern": HOST_PATTERN},
                },
                "version": {"type": "integer", "minimum": 1, "maximum": MAX_VERSION},
                "pcrs": _pcr_values(),
                "event_log_pcrs": {"type": "array", "items": _PCR},
                "lease_seconds": {"type": "integer", "minimum": 1, "maximum": 3600},
                "recovery": {"enum": ["operator", "automatic"]},
                "level": {
                    "type": "integer",
                    "minimum": LOWEST_LEVEL,
                    "maximum": HIGHEST_LEVEL,
                },
                "events": _events(),
                "ima": _ima(),
                "mac": _mac(),
                "device_mapper": _device_mapper(),
                "tpm": _tpm(),
                "observe": {
                    "type": "object",
                    "propertyNames": _BANK,
                    "additionalProperties": {"type": "array", "items": _PCR},
                },
            },
            "name",
            "hosts",
        ),
        "anyOf": [{"required": ["pcrs"]}, {"required": ["events"]}, {"required": ["observe"]}],
        "if": {"anyOf": [{"required": ["mac"]}, {"required": ["device_mapper"]}]},
        "then": {"required": ["ima"]},
        "else": {"properties": {"ima": {"anyOf": _IMA_ACCEPTS}}},
    }


def _object(fields: dict[str, Any], *required: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "object",
        "properties": fields,
        "additionalProperties": False,
    }
    return {**found, "required": list(required)} if required else found


def _pcr_values() -> dict[str, Any]:
    def bank(size: int) -> dict[str, Any]:
        value = {"type": "string", "pattern": f"^[0-9a-fA-F]{{{2 * size}}}$"}
        values = _accepted(value, minItems=1)
        # YAML's keys are numbers; JSON's are their digits.
        return {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^([0-9]|1[0-9]|2[0-3])$"},
            "additionalProperties": values,
        }

    banks = {name: bank(hashing.size) for name, hashing in HASHES.items()}
    return {**_object(banks), "minProperties": 1}


def _events() -> dict[str, Any]:
    pcrs = {"anyOf": [_PCR, {"type": "array", "minItems": 1, "items": _PCR, "uniqueItems": True}]}
    count = {"type": "integer", "minimum": 0, "maximum": 1024}
    times = {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 1024},
            {"enum": ["any", "optional"]},
            {"type": "array", "prefixItems": [count, {"anyOf": [count, {"const": "any"}]}]},
        ]
    }
    fields = {
        "type": {
            "anyOf": [
                {"enum": sorted(KINDS)},
                {"type": "string", "pattern": f"^{KIND_NUMBER}$"},
                {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
            ]
        },
        "pcr": pcrs,
        "times": times,
        "phase": {"enum": ["any", "before", "after"]},
        "digests": _accepted(_HEX, minItems=1),
        "data": _accepted(_HEX, minItems=1),
        "text": _accepted(_TEXT, maxItems=1024),
        "like": _accepted(_TEXT, maxItems=1024),
        "variable": {"type": "string", "minLength": 1, "maxLength": 128},
        "vendor": {"type": "string", "format": "uuid"},
        "measured": _accepted(_HEX, minItems=1),
        "measured_text": _accepted(_TEXT, minItems=1, maxItems=1024),
        "only": _accepted(_ENTRY),
        "including": {"type": "array", "items": _ENTRY},
        "each": _fields(_accepted({"type": "string"}, minItems=1, maxItems=MAX_PATTERNS)),
        "has": _fields(
            {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "maxItems": MAX_PATTERNS,
            }
        ),
        "anything": {"const": True},
    }
    ways = ["digests", "measured", "measured_text", "data", "text", "like", "variable", "each"]
    ways += ["has", "anything"]
    rule = {**_object(fields, "type", "pcr"), "anyOf": [{"required": [way]} for way in ways]}
    rules = {"type": "array", "minItems": 1, "maxItems": 4096, "items": rule}
    return _object({"bank": _BANK, "pcrs": pcrs, "rules": rules}, "pcrs", "rules")


def _fields(patterns: dict[str, Any]) -> dict[str, Any]:
    """Fields of an event, and what is said of each."""
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"enum": sorted(FIELDS)},
        "additionalProperties": patterns,
    }


def _ima() -> dict[str, Any]:
    digest = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
    fields = {
        "name": {"type": "string", "minLength": 1, "maxLength": 255},
        "digests": _accepted(digest),
        "text": _accepted(_TEXT, maxItems=1024),
        "like": _accepted(_TEXT, maxItems=1024),
        "anything": {"const": True},
        "required": {"type": "boolean"},
        "verifies": {"const": True},
    }
    kernels = {"properties": {"name": {"pattern": "^\\."}}}
    ways = ["digests", "text", "like", "anything"]
    buffer = {
        **_object(fields, "name"),
        "anyOf": [{"required": [way]} for way in ways],
        "if": {"required": ["verifies"]},
        "then": kernels,
    }
    return _object(
        {
            "bank": _BANK,
            "aggregate_bank": _BANK,
            "allow": _accepted(_FILE),
            "signed_by": _accepted(_FILE),
            "exclude": _accepted(_TEXT, maxItems=1024),
            "buffers": {"type": "array", "items": buffer},
            "violations": {"enum": ["refuse", "report"]},
        }
    )


def _mac() -> dict[str, Any]:
    digests = _accepted(
        {"type": "string", "pattern": f"^({POLICY_DIGEST})$"}, minItems=1, maxItems=1024
    )
    flags = {
        "type": "object",
        "propertyNames": {"pattern": f"^{FLAG}$", "not": {"enum": ["initialized", "enforcing"]}},
        "additionalProperties": {"type": "boolean"},
    }
    policies = {"anyOf": [digests, {"const": ANY}]}
    return _object(
        {"selinux": _object({"policies": policies, "flags": flags}, "policies")}, "selinux"
    )


def _device_mapper() -> dict[str, Any]:
    pattern = {"type": "string", "minLength": 1, "maxLength": 128}
    attributes = {
        "type": "object",
        "propertyNames": {"pattern": f"^{ATTRIBUTE}$"},
        "additionalProperties": {"type": "string"},
    }
    digests = {"type": "string", "pattern": f"^({ROOT_DIGEST})$"}
    fields = {
        "name": pattern,
        "uuid": pattern,
        "targets": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1024,
            "items": {"type": "string", "pattern": f"^{TARGET}$"},
        },
        "root_digests": _accepted(digests, minItems=1, maxItems=1024),
        "attributes": attributes,
        "anything": {"const": True},
        "required": {"enum": [True, False, NOW]},
    }
    looked_at = [{"required": [way]} for way in ("targets", "root_digests", "attributes")]
    verity = {"properties": {"targets": {"items": {"const": "verity"}}}}
    rule = {
        **_object(fields),
        "anyOf": [{"required": ["name"]}, {"required": ["uuid"]}],
        "if": {"required": ["anything"]},
        "then": {"not": {"anyOf": looked_at}},
        "else": {"anyOf": looked_at[:2]},
        "allOf": [{"if": {"required": ["root_digests"]}, "then": verity}],
    }
    return {"type": "array", "minItems": 1, "maxItems": MAX_RULES, "items": rule}


def _tpm() -> dict[str, Any]:
    def listed(value: dict[str, Any]) -> dict[str, Any]:
        return _accepted(value, minItems=1, maxItems=4096)

    fields = {
        "suites": listed({"enum": list(SUITES)}),
        "manufacturers": listed({"type": "string", "pattern": f"^({MANUFACTURER})$"}),
        "ek_accepted_by": listed({"enum": list(ACCEPTED_BY)}),
        "eks": listed({"type": "string", "pattern": f"^{EK_DIGEST}$"}),
    }
    return {**_object(fields), "minProperties": 1}
