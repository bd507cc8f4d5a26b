# SPDX-License-Identifier: Apache-2.0
"""The policies of a directory as the REST API tells of them: what counts, for whom, and why not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import urlsplit

import falcon
import pytest
from falcon import testing
from oslo_config import cfg

from e2etrust_core.appraisal.policy import parse_policy
from e2etrust_core.appraisal.policy_schema import SCHEMA_VERSION, policy_schema
from e2etrust_core.appraisal.tpm_checks import vouched
from e2etrust_core.evidence.ek_manufacturer import manufacturer_of
from e2etrust_verifier import policies as access_rules
from e2etrust_verifier.api import enrolments, errors, hosts, policies
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.db import verdicts
from e2etrust_verifier.trust import policy_versions
from e2etrust_verifier.trust.policies import PolicyStore
from tests.unit.core.evidence.test_ek_certificate import ROOT, certify
from tests.unit.verifier import test_api as api_tests
from tests.unit.verifier.test_api import ADMIN, NOW, database, token  # noqa: F401

VALUE = "ab" * 32
TEXT = "name: {name}\nhosts: ['{hosts}']\npcrs: {{sha256: {{7: ['{value}']}}}}\n{more}"


@pytest.fixture
def api(database, tmp_path):  # noqa: F811
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    access, store = Access(access_rules.make_enforcer(conf)), PolicyStore(tmp_path / "d")
    (tmp_path / "d").mkdir()
    app = falcon.App()
    app.add_route("/v1/policies", policies.Policies(database, access, store))
    app.add_route("/v1/policies/{name}", policies.Policy(database, access, store))
    app.add_route("/v1/policy-schema.json", policies.PolicySchema())
    app.add_route("/v1/enrolments", enrolments.Enrolments(database, access))
    app.add_route("/v1/enrolments/{name}", enrolments.Enrolment(database, access))
    app.add_route("/v1/hosts/{name}", hosts.Host(database, access))
    errors.install(app)
    client = testing.TestClient(app)

    def write(file: str, name: str, pattern: str = "*", more: str = "") -> str:
        text = TEXT.format(name=name, hosts=pattern, value=VALUE, more=more)
        (tmp_path / "d" / file).write_text(text)
        return text

    def get(path: str, headers=ADMIN):
        return client.simulate_get(path, headers=headers)

    return SimpleNamespace(get=get, write=write, directory=tmp_path / "d", database=database)


def states(api) -> dict[str, tuple[str, int]]:
    found = api.get("/v1/policies").json["policies"]
    return {one["file"]: (one["state"], one["hosts_count"]) for one in found}


def test_each_host_counts_for_the_first_policy_that_matches_it(api):
    api.write("10-one.yaml", "one", "host1")
    api.write("20-none.yaml", "none", "compute*")
    api.write("30-host1-again.yaml", "again", "host1")
    assert states(api) == {
        "10-one.yaml": ("in-force", 1),
        "20-none.yaml": ("in-force", 0),
        "30-host1-again.yaml": ("in-force", 0),
    }
    assert api.get("/v1/policies").json["hosts_without"] == 1
    api.write("40-all.yaml", "all")
    assert states(api)["40-all.yaml"] == ("in-force", 1)
    assert api.get("/v1/policies").json["hosts_without"] == 0


def test_versions_are_told_as_the_verifier_takes_them(api):
    def admitted(text: str) -> None:
        policy_versions.admit(api.database, parse_policy(text), None, datetime.now(UTC))

    text = api.write("p.yaml", "p", more="version: 2\n")
    assert states(api) == {"p.yaml": ("new", 2)}
    admitted(text)
    assert states(api) == {"p.yaml": ("in-force", 2)}
    api.write("p.yaml", "p", more="version: 2\nlease_seconds: 61\n")
    assert states(api) == {"p.yaml": ("altered", 2)}
    api.write("p.yaml", "p", more="version: 1\n")
    assert states(api) == {"p.yaml": ("rolled-back", 2)}
    shown = api.get("/v1/policies/p").json
    assert (shown["code"], shown["version"], shown["newest_version"]) == (
        "POLICY_ROLLED_BACK",
        1,
        2,
    )
    assert "policy accept" in shown["remedy"]
    api.write("p.yaml", "p", more="version: 3\n")
    assert states(api) == {"p.yaml": ("new", 2)}


def test_file_that_cannot_be_read_is_told_and_blocks_the_others(api):
    api.write("good.yaml", "good")
    (api.directory / "wrong.yaml").write_text("name: wrong\nhosts: [")
    assert states(api) == {"good.yaml": ("blocked", 2), "wrong.yaml": ("unreadable", 0)}
    found = {one["file"]: one for one in api.get("/v1/policies").json["policies"]}
    assert found["wrong.yaml"]["code"] == found["good.yaml"]["code"] == "POLICY_MALFORMED"
    assert "wrong.yaml" in found["good.yaml"]["reason"]
    api.write("wrong.yaml", "wrong")
    assert states(api) == {"good.yaml": ("in-force", 2), "wrong.yaml": ("in-force", 0)}


def test_windows_are_told_and_the_fingerprint_is_of_what_holds_now(api):
    past, future = NOW - timedelta(days=1), NOW + timedelta(days=1)
    section = (
        "observe: {}\nrecovery: automatic\nlease_seconds: 10\nevents:\n  pcrs: [4]\n  rules:\n"
    )
    rule = "  - {{type: EV_SEPARATOR, pcr: 4, data: ['00000000', {{accept: '{}', until: {}}}]}}\n"
    windows = rule.format("ff", past.isoformat()) + rule.format("ee", future.isoformat())
    text = api.write("p.yaml", "p", more=section + windows)
    shown = api.get("/v1/policies/p").json
    assert len(shown["windows_close"]) == 2
    assert shown["fingerprint"] == parse_policy(text, at=datetime.now(UTC)).fingerprint
    assert shown["fingerprint"] != parse_policy(text).fingerprint
    assert shown["edition"] == parse_policy(text).edition
    assert (shown["asks"], shown["quoted_pcrs"]) == (["pcrs", "events"], {"sha256": [4, 7]})
    assert (shown["lease_seconds"], shown["recovery"]) == (10, "automatic")


def test_accepted_values_are_not_told(api):
    api.write("p.yaml", "p", more=f"tpm: {{eks: ['{VALUE}']}}\n")
    assert VALUE not in api.get("/v1/policies").text + api.get("/v1/policies/p").text


def test_unknown_policy_is_not_found_with_its_code(api):
    answer = api.get("/v1/policies/nobody")
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "POLICY_UNKNOWN")


@pytest.mark.parametrize("path", ["policies", "policies/p", "enrolments", "enrolments/host1"])
def test_only_operators_read(api, path):
    api.write("p.yaml", "p")
    assert api.get(f"/v1/{path}", token("alice", "member")).status_code == 403
    assert api.get(f"/v1/{path}", token(None, "reader", system=True)).status_code == 200


def test_schema_is_published_with_its_name_and_version(api):
    found = api.get("/v1/policy-schema.json", headers={}).json
    assert found == policy_schema()
    assert found["$id"] == f"urn:e2etrust:host-policy:{SCHEMA_VERSION}"


def test_enrolment_tells_the_maker_only_where_an_authority_vouched_for_it(api):
    certificate = certify(ROOT)
    name = vouched(manufacturer_of(certificate)[1])

    def enrol(session) -> None:
        for host, by in (("a", name), ("b", "inventory")):
            record = api_tests._host(host)
            record.ek_certificate, record.ek_accepted_by = certificate, by
            session.add(record)

    api.database.write(enrol)
    assert api.get("/v1/enrolments/a").json["manufacturer"] == "id:00001014"
    assert api.get("/v1/enrolments/b").json["manufacturer"] is None
    page = api.get("/v1/enrolments?limit=2").json
    assert [one["host"] for one in page["enrolments"]] == ["a", "b"]
    (link,) = page["enrolments_links"]
    asked = urlsplit(link["href"])
    after = api.get(f"{asked.path}?{asked.query}").json
    assert [one["host"] for one in after["enrolments"]] == ["host1", "host2"]


def test_enrolment_of_an_unknown_host_is_not_found(api):
    answer = api.get("/v1/enrolments/nobody")
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "HOST_UNKNOWN")


def test_host_tells_by_which_policy_and_version_it_was_appraised(api):
    shown = api.get("/v1/hosts/host1").json
    assert (shown["policy"], shown["policy_version"]) == (None, None)
    api.database.write(
        lambda s: verdicts.add(s, "host1", "attest", "p", [], trusted=True, now=NOW, version=7)
    )
    shown = api.get("/v1/hosts/host1").json
    assert (shown["policy"], shown["policy_version"]) == ("p", 7)
