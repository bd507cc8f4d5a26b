# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document against the resources that it describes, and against what they answer."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import falcon
import jsonschema
import pytest
from falcon import testing
from oslo_config import cfg

from e2etrust_core.appraisal import result_token
from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.appraisal.reference import ClockSeen
from e2etrust_core.evidence.model import HostEvidence, Quote
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.api import errors, openapi, wsgi
from e2etrust_verifier.db import evidence, migration, pins, verdicts, workers
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.trust import records
from tests.unit.verifier import test_api as api_tests

RECORDED = RecordedAppraisal(
    host="host1",
    suite="ecc-p256-sha256",
    ek_public=b"ek",
    ak_public=b"ak",
    nonce=b"n" * 32,
    selection={"sha256": [0]},
    evidence=HostEvidence(Quote(b"a", b"s", {"sha256": {0: bytes(32)}}), b"log"),
    at="2026-01-01T00:00:00+00:00",
    policy="p",
    fingerprint="f",
    checks=[CheckResult("clock", "pass", "it went on")],
    last_clock=ClockSeen(1, 2, 3),
)
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def api(tmp_path):
    """The routes as the service has them; identity as keystonemiddleware hands it on."""
    path = tmp_path / "verifier.conf"
    path.touch(mode=0o600)
    path.write_text(
        "[DEFAULT]\ntransport_url = kombu+memory:////\n"
        f"[database]\nconnection = sqlite:///{tmp_path}/v.sqlite\n"
        f"[verifier]\nsigning_key = {tmp_path}/key.pem\nkey_user_id = u\n"
        f"policy_dir = {tmp_path}\n"
    )
    (tmp_path / "policy.yaml").write_text("name: host1\nhosts: ['*']\nobserve: {sha256: [0]}\n")
    conf = configuration.load([str(path)], cfg.ConfigOpts())
    database = Database(conf)
    migration.sync(database)
    records.create_key(tmp_path / "key.pem")
    database.write(api_tests._fill)
    checks = [CheckResult("clock", "pass", "it went on")]
    now = api_tests.NOW - timedelta(seconds=1)
    database.write(lambda s: verdicts.add(s, "host1", "attest", "p", checks, trusted=True, now=now))
    database.write(lambda s: evidence.add(s, RECORDED, now))
    database.write(lambda s: pins.put(s, "host1", ["0" * 64], "u", now))
    app = falcon.App()
    routes = wsgi.routes(conf, database)
    routes["/v1/servers/{instance}/evidence"] = SimpleNamespace(
        on_post=type(routes["/v1/servers/{instance}/evidence"])(
            database, routes["/v1/hosts"].access, api_tests.Agents()
        ).on_post
    )
    for route, resource in routes.items():
        app.add_route(route, resource)
    errors.install(app)
    yield SimpleNamespace(client=testing.TestClient(app), routes=routes, database=database)
    database.dispose()


def validated(document: dict, schema: dict, value: object) -> None:
    whole = {**schema, "components": document["components"]}
    jsonschema.validate(value, whole, cls=jsonschema.Draft202012Validator)


def test_document_names_every_route_and_method_and_no_other(api):
    there = {
        (path.replace(":int", ""), method)
        for path, resource in api.routes.items()
        for method in METHODS
        if hasattr(resource, f"on_{method}")
    }
    assert {(one.path, one.method) for one in openapi.OPERATIONS} == there


def test_document_is_served_to_everybody_and_stands_by_itself(api):
    document = api.client.simulate_get("/v1/openapi.json").json
    assert document == openapi.document()
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


ASKED = {
    ("/v1/hosts/{name}/action", "post"): {"revoke": {"reason": "r"}},
    ("/v1/inventory/{name}", "put"): {"ek_sha256": [hashlib.sha256(b"ek").hexdigest()]},
    ("/v1/servers/{instance}/evidence", "post"): {"nonce": base64.b64encode(b"n" * 32).decode()},
}
NAMES = {"{name}": "host1", "{instance}": api_tests.VM, "{number}": "1"}


@pytest.mark.parametrize(
    "operation", openapi.OPERATIONS, ids=lambda one: f"{one.method} {one.path}"
)
def test_service_answers_what_the_document_says(api, operation):
    document = openapi.document()
    path = operation.path
    for placeholder, value in NAMES.items():
        path = path.replace(placeholder, value)
    told = document["paths"][operation.path][operation.method]
    body = ASKED.get((operation.path, operation.method))
    if body is not None:
        validated(document, told["requestBody"]["content"]["application/json"]["schema"], body)
    answer = api.client.simulate_request(
        operation.method.upper(), path, headers=api_tests.ADMIN, json=body
    )
    response = told["responses"][str(answer.status_code)]
    if operation.answer is None:
        assert answer.text == ""
    elif operation.answer is openapi.Token:
        assert answer.headers["content-type"] == result_token.MEDIA_TYPE
        validated(document, response["content"][result_token.MEDIA_TYPE]["schema"], answer.text)
    else:
        validated(document, response["content"]["application/json"]["schema"], answer.json)


@pytest.mark.parametrize(
    "operation",
    [one for one in openapi.OPERATIONS if one.rule is not None],
    ids=lambda one: f"{one.method} {one.path}",
)
def test_what_needs_a_token_refuses_without_one_as_the_document_says(api, operation):
    document = openapi.document()
    path = operation.path
    for placeholder, value in NAMES.items():
        path = path.replace(placeholder, value)
    body = ASKED.get((operation.path, operation.method))
    answer = api.client.simulate_request(operation.method.upper(), path, json=body)
    assert answer.status_code == 401
    told = document["paths"][operation.path][operation.method]["responses"]["default"]
    validated(document, told["content"]["application/json"]["schema"], answer.json)


@pytest.mark.parametrize(
    "operation", [one for one in openapi.OPERATIONS if one.cached], ids=lambda one: one.path
)
def test_what_has_a_tag_is_not_sent_again(api, operation):
    api.database.write(lambda s: workers.seen(s, "w", "m", datetime.now(UTC)))
    path = operation.path.replace("{name}", "host1")
    first = api.client.simulate_get(path, headers=api_tests.ADMIN)
    headers = {**api_tests.ADMIN, "If-None-Match": first.headers["etag"]}
    again = api.client.simulate_get(path, headers=headers)
    assert (again.status_code, again.text) == (304, "")


def test_parameters_are_those_that_are_read(api):
    """A parameter with a value that its schema does not allow is refused: so it is read."""
    for operation in openapi.OPERATIONS:
        path = operation.path.replace("{name}", "host1")
        for one in operation.query:
            if one.schema.get("type") == "string":
                continue
            answer = api.client.simulate_get(
                path, headers=api_tests.ADMIN, params={one.name: "nonsense"}
            )
            assert answer.status_code == 400, (path, one.name)
