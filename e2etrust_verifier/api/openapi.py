# SPDX-License-Identifier: Apache-2.0
"""``/v1/openapi.json``: the API as OpenAPI 3.1, made from the values that it answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import falcon
import msgspec

from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.appraisal.result_token import MEDIA_TYPE
from e2etrust_core.trust_names import (
    HIGHEST_LEVEL,
    LEVEL_TRAITS,
    LOWEST_LEVEL,
    TRUSTED_TRAIT,
)
from e2etrust_verifier.api import answers
from e2etrust_verifier.api.hosts import LONGEST_NAME
from e2etrust_verifier.api.paging import MOST
from e2etrust_verifier.api.version import API_VERSION
from e2etrust_verifier.policies import enrolments as enrolment_rules
from e2etrust_verifier.policies import events as event_rules
from e2etrust_verifier.policies import fleet as fleet_rules
from e2etrust_verifier.policies import host_policies as host_policy_rules
from e2etrust_verifier.policies import hosts as host_rules
from e2etrust_verifier.policies import inventory as inventory_rules
from e2etrust_verifier.policies import servers as server_rules
from e2etrust_verifier.trust.standing import StandingWord

_TEMPLATE = "#/components/schemas/{name}"
_STATUS = {
    "200": "as asked",
    "204": "done",
    "304": "as it was",
    "412": "it is not what If-Match names any more",
}
_TAG = {"ETag": {"schema": {"type": "string"}, "description": "changes with the answer"}}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "change it only while its ETag is this one",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the query's."""

    name: str
    schema: dict[str, Any]
    text: str


class Token:
    """Stands for an answer that is a token (JWS, compact form) and no JSON."""


@dataclass(frozen=True, slots=True)
class Operation:
    """``answer`` None: nothing is in the answer's body; ``rule`` None: everybody may ask;
    ``cached``: it is not sent again to who has it (If-None-Match); ``guarded``: it is changed
    only while it is what the caller saw (If-Match)."""

    path: str
    method: str
    text: str
    answer: type | None
    rule: str | None = None
    asked: type | None = None
    query: tuple[Parameter, ...] = ()
    cached: bool = False
    guarded: bool = False


_LIMIT = Parameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST}, "at most so many")
_NUMBER = Parameter("marker", {"type": "integer", "minimum": 1}, "the last one of the page before")
_NAME = Parameter("marker", {"type": "string"}, "the last name of the page before")
_STATE = Parameter(
    "state",
    {"type": "array", "items": {"enum": list(get_args(StandingWord))}},
    "only hosts that stand so; several words with commas between them",
)
_PART = Parameter(
    "name",
    {"type": "string", "maxLength": LONGEST_NAME},
    "only hosts with this in their name, in large or small letters; with * (anything) or ? (any"
    " one letter) it is the whole name",
)
_MIN_LEVEL = Parameter(
    "min_level",
    {"type": "integer", "minimum": LOWEST_LEVEL, "maximum": HIGHEST_LEVEL},
    "only hosts that hold a lease of that level or a higher one",
)
_TRAIT = Parameter(
    "trait",
    {"enum": [TRUSTED_TRAIT, *LEVEL_TRAITS.values()]},
    "only hosts that carry this trait of ours in Placement, or do with its next comparison",
)
_POLICY = Parameter("policy", {"type": "string"}, "only hosts that were appraised last by it")
_CODE = Parameter("code", {"type": "string"}, "only hosts that failed with this code first")
_HOST = Parameter("host", {"type": "string"}, "only events of this host")
_KIND = Parameter("kind", {"type": "string"}, "only events of this kind")
#: What needs a token, and no role.
ANYBODY_WITH_A_TOKEN = ""

OPERATIONS = (
    Operation("/", "get", "versions of this API", answers.Versions),
    Operation("/v1", "get", "what this service is", answers.Service, ANYBODY_WITH_A_TOKEN),
    Operation("/v1/openapi.json", "get", "this document", dict),
    Operation("/v1/jwks", "get", "keys that launch records are signed with", answers.Jwks),
    Operation(
        "/v1/summary",
        "get",
        "how many hosts stand how, and why red ones do",
        answers.Summary,
        fleet_rules.SUMMARY,
        cached=True,
    ),
    Operation(
        "/v1/hosts",
        "get",
        "hosts by name, and how they stand",
        answers.Hosts,
        host_rules.LIST,
        query=(_STATE, _PART, _MIN_LEVEL, _TRAIT, _POLICY, _CODE, _LIMIT, _NAME),
        cached=True,
    ),
    Operation(
        "/v1/hosts/{name}",
        "get",
        "a host with the checks of its last appraisal",
        answers.Host,
        host_rules.SHOW,
        cached=True,
    ),
    Operation("/v1/hosts/{name}", "delete", "forget a host's keys", None, host_rules.REMOVE),
    Operation(
        "/v1/hosts/{name}/verdicts",
        "get",
        "what came out of a host's appraisals, newest first",
        answers.Verdicts,
        host_rules.HISTORY,
        query=(_LIMIT, _NUMBER),
    ),
    Operation(
        "/v1/hosts/{name}/evidence",
        "get",
        "what is recorded of a host's evidence, newest first",
        answers.EvidenceList,
        host_rules.EVIDENCE,
    ),
    Operation(
        "/v1/hosts/{name}/evidence/{number}",
        "get",
        "evidence that a host sent, and what it was appraised by",
        RecordedAppraisal,
        host_rules.EVIDENCE,
    ),
    Operation(
        "/v1/hosts/{name}/result",
        "get",
        "a host's attestation result as a signed token (EAR)",
        Token,
        host_rules.RESULT,
    ),
    Operation(
        "/v1/hosts/{name}/action",
        "post",
        "approve a held host, or revoke a host's trust",
        answers.Host,
        f"{host_rules.APPROVE}, {host_rules.REVOKE}",
        asked=answers.Action,
    ),
    Operation(
        "/v1/enrolments",
        "get",
        "which keys hosts were enrolled with, by host",
        answers.Enrolments,
        enrolment_rules.LIST,
        query=(_LIMIT, _NAME),
        cached=True,
    ),
    Operation(
        "/v1/enrolments/{name}",
        "get",
        "which keys a host was enrolled with",
        answers.Enrolment,
        enrolment_rules.SHOW,
        cached=True,
    ),
    Operation(
        "/v1/policies",
        "get",
        "host policies, whether they count, and for how many hosts",
        answers.Policies,
        host_policy_rules.LIST,
    ),
    Operation(
        "/v1/policies/{name}",
        "get",
        "a host policy, without the values that it accepts",
        answers.Policy,
        host_policy_rules.SHOW,
    ),
    Operation("/v1/policy-schema.json", "get", "the JSON Schema of host policies", dict),
    Operation(
        "/v1/inventory",
        "get",
        "which endorsement keys operators expect, by host",
        answers.Inventory,
        inventory_rules.LIST,
        query=(_LIMIT, _NAME),
        cached=True,
    ),
    Operation(
        "/v1/inventory/{name}",
        "get",
        "which endorsement keys operators expect of a host",
        answers.Expected,
        inventory_rules.SHOW,
        cached=True,
    ),
    Operation(
        "/v1/inventory/{name}",
        "put",
        "let TPMs with these endorsement keys, and no others, enrol under that name",
        answers.Expected,
        inventory_rules.PUT,
        asked=answers.Expectation,
        guarded=True,
    ),
    Operation(
        "/v1/inventory/{name}",
        "delete",
        "expect no particular endorsement key of a host any more",
        None,
        inventory_rules.REMOVE,
        guarded=True,
    ),
    Operation(
        "/v1/servers/{instance}",
        "get",
        "a server's launches and refused starts",
        answers.Server,
        server_rules.SHOW,
    ),
    Operation(
        "/v1/servers/{instance}/evidence",
        "post",
        "fresh evidence of a server and its host",
        answers.Evidence,
        server_rules.EVIDENCE,
        asked=answers.EvidenceAsk,
    ),
    Operation(
        "/v1/events",
        "get",
        "what happened, newest first",
        answers.Events,
        event_rules.LIST,
        query=(_HOST, _KIND, _LIMIT, _NUMBER),
        cached=True,
    ),
)


class Document:
    """The document, for everybody."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = document()


@cache
def document() -> dict[str, Any]:
    """Return the document, which says nothing of this cloud."""
    kinds = {one.answer for one in OPERATIONS} | {one.asked for one in OPERATIONS}
    listed = sorted((k for k in kinds if k not in (None, dict, Token)), key=lambda kind: str(kind))
    _, components = msgspec.json.schema_components([*listed, answers.Error], ref_template=_TEMPLATE)
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "E2ETrust attestation service", "version": API_VERSION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}
            },
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {"summary": one.text, "responses": _responses(one)}
    parameters = [_in_path(word[1:-1]) for word in one.path.split("/") if word.startswith("{")]
    parameters += [_in_query(asked) for asked in one.query]
    parameters += [_IF_MATCH] if one.guarded else []
    if parameters:
        told["parameters"] = parameters
    if one.asked is not None:
        told["requestBody"] = {"required": True, "content": _json(one.asked)}
    if one.rule is not None:
        told["security"] = [{"token": []}]
    if one.rule:
        told["description"] = f"policy: {one.rule}"
    return told


def _responses(one: Operation) -> dict[str, Any]:
    done = "204" if one.answer is None else "200"
    found: dict[str, Any] = {done: {"description": _STATUS[done]}}
    if one.answer is not None:
        found[done]["content"] = _json(one.answer)
    if one.cached:
        found[done]["headers"] = _TAG
        found["304"] = {"description": _STATUS["304"]}
    refused = {"content": _json(answers.Error)}
    if one.guarded:
        found["412"] = {"description": _STATUS["412"], **refused}
    found["default"] = {"description": "refused", **refused}
    return found


def _json(kind: type) -> dict[str, Any]:
    if kind is Token:
        return {MEDIA_TYPE: {"schema": {"type": "string", "pattern": r"^[\w-]+\.[\w-]+\.[\w-]+$"}}}
    schema = {"type": "object"} if kind is dict else {"$ref": _TEMPLATE.format(name=kind.__name__)}
    return {"application/json": {"schema": schema}}


def _in_query(asked: Parameter) -> dict[str, Any]:
    told = {"name": asked.name, "in": "query", "schema": asked.schema, "description": asked.text}
    return {**told, "explode": False} if asked.schema.get("type") == "array" else told


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
