# SPDX-License-Identifier: Apache-2.0
"""The REST resources over an in-process database; identity as keystonemiddleware hands it on."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import falcon
import pytest
from falcon import testing
from oslo_config import cfg
from oslo_db.exception import DBConnectionError, DBDeadlock
from prometheus_client.parser import text_string_to_metric_families

from e2etrust_core import messages, wire
from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.evidence.model import GuestIdentity, HostEvidence, Quote
from e2etrust_verifier import policies
from e2etrust_verifier.api import errors, events, hosts, metrics, servers, service, summary
from e2etrust_verifier.api import evidence as evidence_api
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.identifiers import NoNul
from e2etrust_verifier.db import evidence, verdicts, workers
from e2etrust_verifier.db import hosts as host_rows
from e2etrust_verifier.db.models import Event, Host, HostState, Launch, Refusal
from e2etrust_verifier.policies import hosts as rules
from e2etrust_verifier.trust import standing

VM, OTHER = "0a0a0a0a-1111-4222-8333-444444444444", "0b0b0b0b-1111-4222-8333-444444444444"
NOW = datetime.now(UTC)
IDENTITY = GuestIdentity(b"ek", b"ak")


def token(project: str | None = "alice", *roles: str, system: bool = False) -> dict[str, str]:
    """Return the headers that keystonemiddleware sets for a confirmed token."""
    headers = {"X-Identity-Status": "Confirmed", "X-User-Id": "u", "X-Roles": ",".join(roles)}
    if project is not None:
        headers["X-Project-Id"] = project
    if system:
        headers["OpenStack-System-Scope"] = "all"
    return headers


ADMIN = token("ops", "admin")


@pytest.fixture
def database(database):
    database.write(_fill)
    return database


def _fill(session) -> None:
    session.add(_host("host1"))
    session.add(_host("host2"))
    session.add(
        HostState(
            host="host1",
            generation=1,
            held=False,
            since=NOW,
            failed="[]",
            lease_id="l",
            lease_expires_at=NOW + timedelta(hours=1),
            level=3,
        )
    )
    session.add(HostState(host="host2", generation=2, held=True, since=NOW, failed="[]", level=5))
    session.add(_launch("old", VM, "alice", "ended"))
    session.add(_launch("new", VM, "alice", "started"))
    session.add(_launch("orphan", OTHER, None, "started"))
    session.add(_refusal(VM, "alice"))
    session.add(_refusal(OTHER, None))
    for n in range(3):
        session.add(Event(at=NOW, kind=f"kind{n}", host="host1", instance=None, message="m"))


def _host(name: str) -> Host:
    return Host(
        name=name,
        suite="s",
        ek_public=b"ek",
        ek_certificate=None,
        ek_accepted_by="inventory",
        ak_public=b"ak",
        ak_name=b"n",
        enrolled_at=NOW,
    )


def _launch(launch: str, instance: str, project: str | None, state: str) -> Launch:
    return Launch(
        id=launch,
        instance=instance,
        project=project,
        host="host1",
        name="vm",
        lease_id="l",
        state=state,
        reason="",
        record=f"record-{launch}",
        granted_at=NOW + timedelta(seconds=len(launch) if launch == "orphan" else launch == "new"),
        ended_at=NOW if state == "ended" else None,
    )


def _refusal(instance: str, project: str | None) -> Refusal:
    return Refusal(
        instance=instance,
        project=project,
        host="host1",
        told_by="host",
        code="AGENT_DOWN",
        reason="why",
        remedy="do",
        at=NOW,
    )


class Agents:
    """Stands in for the message bus."""

    launch = "new"

    def __init__(self) -> None:
        self.asked: list[tuple[str, messages.GuestAsk]] = []

    def guest_evidence(self, host: str, ask: messages.GuestAsk) -> messages.ServerEvidence:
        self.asked.append((host, ask))
        return messages.ServerEvidence(host, self.launch, IDENTITY)


@pytest.fixture
def api(database):
    conf = cfg.ConfigOpts()
    conf([])
    access, agents = Access(policies.make_enforcer(conf)), Agents()
    app = falcon.App(middleware=[NoNul()])
    app.add_route("/", service.Root())
    app.add_route("/v1", service.Service(lambda: "user-id"))
    app.add_route("/v1/summary", summary.Summary(database, access))
    app.add_route("/v1/hosts", hosts.Hosts(database, access))
    app.add_route("/v1/hosts/{name}", hosts.Host(database, access))
    app.add_route("/v1/hosts/{name}/verdicts", hosts.Verdicts(database, access))
    app.add_route("/v1/hosts/{name}/action", hosts.Actions(database, access))
    app.add_route("/v1/servers/{instance}", servers.Server(database, access))
    app.add_route(
        "/v1/servers/{instance}/evidence", servers.ServerEvidence(database, access, agents)
    )
    app.add_route("/v1/events", events.Events(database, access))
    app.add_route("/v1/hosts/{name}/evidence", evidence_api.EvidenceList(database, access))
    app.add_route(
        "/v1/hosts/{name}/evidence/{number:int}", evidence_api.OneEvidence(database, access)
    )
    app.add_route("/metrics", metrics.Metrics(database))
    errors.install(app)
    return SimpleNamespace(client=testing.TestClient(app), agents=agents)


def get(api, path, headers=None, **params):
    return api.client.simulate_get(path, headers=headers or {}, params=params)


def ask(api, instance, headers, body=None):
    nonce = base64.b64encode(b"n" * 32).decode()
    return api.client.simulate_post(
        f"/v1/servers/{instance}/evidence", headers=headers, json=body or {"nonce": nonce}
    )


PATHS = [
    "/v1",
    "/v1/summary",
    "/v1/hosts",
    "/v1/hosts/host1",
    "/v1/hosts/host1/verdicts",
    f"/v1/servers/{VM}",
    "/v1/events",
]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/hosts/a%00", ""),
        ("/v1/servers/%00", ""),
        ("/v1/events", "host=%00"),
        ("/v1/hosts", "name=a&name=%00"),
    ],
)
def test_nul_is_refused_before_a_database_is_asked_for_it(api, path, query):
    """PostgreSQL's driver raises: it would be an internal error."""
    found = api.client.simulate_get(path, query_string=query, headers=ADMIN)
    assert found.status == falcon.HTTP_400
    assert found.json["error"]["code"] == "REFUSED"


@pytest.mark.parametrize("path", [*PATHS, "/v1/servers/nothing"])
def test_cve_2026_1709_request_without_a_token_is_refused(api, path):
    answer = get(api, path)
    assert answer.status_code == 401
    assert answer.json["error"]["code"] == "UNAUTHENTICATED"


def test_versions_need_no_token(api):
    assert get(api, "/").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/v1/summary", "/v1/hosts", "/v1/hosts/host1", "/v1/hosts/host1/verdicts", "/v1/events"],
)
@pytest.mark.parametrize(
    ("who", "status"),
    [
        (token("alice", "member"), 403),
        (token("alice", "reader"), 403),
        (token(None), 403),
        (ADMIN, 200),
        (token(None, "reader", system=True), 200),
    ],
)
def test_hosts_and_events_are_the_operators(api, path, who, status):
    assert get(api, path, who).status_code == status


def test_hosts_say_how_they_stand(api):
    found = {h["name"]: h for h in get(api, "/v1/hosts", ADMIN).json["hosts"]}
    assert (found["host1"]["state"], found["host2"]["state"]) == ("trusted", "held")
    assert 0 < found["host1"]["lease_seconds"] <= 3600
    assert found["host2"]["lease_seconds"] == 0
    assert (found["host1"]["level"], found["host2"]["level"]) == (3, 0)


def test_unknown_host_is_not_found(api):
    assert get(api, "/v1/hosts/host9", ADMIN).json["error"]["code"] == "HOST_UNKNOWN"


def test_tenant_reads_launches_newest_first_and_refusals(api):
    found = get(api, f"/v1/servers/{VM}", token("alice", "member")).json
    assert [row["record"] for row in found["launches"]] == ["record-new", "record-old"]
    assert [row["code"] for row in found["refusals"]] == ["AGENT_DOWN"]


def test_server_of_another_project_looks_like_none(api):
    foreign = get(api, f"/v1/servers/{VM}", token("mallory", "member"))
    absent = get(api, f"/v1/servers/{OTHER[:-1]}5", token("mallory", "member"))
    assert (foreign.status_code, foreign.json) == (absent.status_code, absent.json)
    assert foreign.status_code == 404


@pytest.mark.parametrize("project", [None, "None", "alice"])
def test_rows_without_a_project_are_the_operators_only(api, project):
    assert get(api, f"/v1/servers/{OTHER}", token(project, "member")).status_code == 404
    assert ask(api, OTHER, token(project, "member")).status_code == 404
    assert get(api, f"/v1/servers/{OTHER}", ADMIN).status_code == 200


def test_evidence_is_asked_of_the_host_of_the_current_launch(api):
    answer = ask(api, VM, token("alice", "member"))
    assert answer.json["record"] == "record-new"
    assert answer.json["evidence"]["launch"] == "new"
    ((host, sent),) = api.agents.asked
    assert (host, sent.instance, sent.nonce) == ("host1", VM, b"n" * 32)


def test_evidence_of_another_projects_server_asks_no_agent(api):
    assert ask(api, VM, token("mallory", "member")).status_code == 404
    assert api.agents.asked == []


def test_evidence_of_another_launch_is_refused(api):
    api.agents.launch = "old"
    assert ask(api, VM, token("alice", "member")).json["error"]["code"] == "LAUNCH_CHANGED"


@pytest.mark.parametrize("body", [{"nonce": 7}, {"nonce": "%"}, {"credential_blob": "YQ=="}])
def test_malformed_question_asks_no_agent(api, body):
    answer = ask(api, VM, token("alice", "member"), body)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "INPUT_MALFORMED")
    assert api.agents.asked == []


def test_question_names_no_other_instance(api):
    nonce = base64.b64encode(b"n" * 32).decode()
    ask(api, VM, token("alice", "member"), {"nonce": nonce, "instance": OTHER})
    assert api.agents.asked[0][1].instance == VM


def test_question_beyond_all_bounds_is_refused(api):
    body = {"nonce": "A" * servers.MAX_ASK}
    assert ask(api, VM, token("alice", "member"), body).status_code == 400


def test_events_come_newest_first_bounded_and_filtered(api):
    assert [e["kind"] for e in get(api, "/v1/events", ADMIN, limit=2).json["events"]] == [
        "kind2",
        "kind1",
    ]
    assert len(get(api, "/v1/events", ADMIN, kind="kind0").json["events"]) == 1
    assert get(api, "/v1/events", ADMIN, host="host2").json["events"] == []
    assert get(api, "/v1/events", ADMIN, limit=0).status_code == 400
    assert get(api, "/v1/events", ADMIN, limit="x").status_code == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/events?marker={10**30}", 400),
        (f"/v1/hosts/host1/verdicts?marker={2**63}", 400),
        (f"/v1/hosts/host1/evidence/{10**30}", 404),
    ],
)
def test_number_that_no_database_holds_is_no_fault_of_the_service(api, path, status):
    assert api.client.simulate_get(path, headers=ADMIN).status_code == status


def test_unforeseen_error_is_a_number_and_no_detail(api, monkeypatch, caplog):
    def broken(*_others, **_more):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(host_rows, "page_of_states", broken)
    answer = get(api, "/v1/hosts", ADMIN)
    assert (answer.status_code, answer.json["error"]["code"]) == (500, "INTERNAL")
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    ("error", "code"), [(DBConnectionError, "DATABASE_DOWN"), (DBDeadlock, "BUSY")]
)
def test_database_that_cannot_now_is_told_by_name(api, monkeypatch, caplog, error, code):
    def away(*_others, **_more):
        raise error(OSError("mysql.example.com refused"))

    monkeypatch.setattr(host_rows, "page_of_states", away)
    answer = get(api, "/v1/hosts", ADMIN)
    assert (answer.status_code, answer.json["error"]["code"]) == (503, code)
    assert "example" not in answer.text
    assert "mysql.example.com refused" in caplog.text
    assert "Traceback" not in caplog.text


def act(api, body, headers=ADMIN, host="host1"):
    return api.client.simulate_post(f"/v1/hosts/{host}/action", headers=headers, json=body)


def test_page_of_hosts_leads_to_the_next_one(api):
    first = get(api, "/v1/hosts", ADMIN, limit=1, state="held").json
    assert [host["name"] for host in first["hosts"]] == ["host2"]
    page = get(api, "/v1/hosts", ADMIN, limit=1).json
    assert [host["name"] for host in page["hosts"]] == ["host1"]
    ((rel, href),) = [(link["rel"], link["href"]) for link in page["hosts_links"]]
    assert rel == "next"
    path, _, query = href.partition("?")
    assert path.endswith("/v1/hosts")
    found = api.client.simulate_get("/v1/hosts", headers=ADMIN, query_string=query).json
    assert [host["name"] for host in found["hosts"]] == ["host2"]
    assert get(api, "/v1/hosts", ADMIN, limit=3).json["hosts_links"] == []


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 1001},
        {"state": "fine"},
        {"state": "held,fine"},
        {"state": ""},
        {"name": "a" * 256},
        {"min_level": 0},
        {"min_level": 10},
        {"min_level": "high"},
    ],
)
def test_question_for_hosts_that_makes_no_sense_is_refused(api, params):
    assert get(api, "/v1/hosts", ADMIN, **params).status_code == 400


def names(api, **params):
    return [host["name"] for host in get(api, "/v1/hosts", ADMIN, **params).json["hosts"]]


def test_hosts_of_several_states_are_asked_for_at_once_and_page_by_page(api):
    assert names(api, state="held,unknown") == ["host2"]
    first = get(api, "/v1/hosts", ADMIN, state="held,trusted", limit=1).json
    assert [host["name"] for host in first["hosts"]] == ["host1"]
    query = first["hosts_links"][0]["href"].partition("?")[2]
    found = api.client.simulate_get("/v1/hosts", headers=ADMIN, query_string=query).json
    assert [host["name"] for host in found["hosts"]] == ["host2"]


def test_hosts_are_found_by_the_level_of_their_lease(api):
    """host2 was of level 5, and is held."""
    assert names(api, min_level=1) == ["host1"]
    assert names(api, min_level=3) == names(api, min_level=2, name="host*") == ["host1"]
    assert names(api, min_level=4) == []


def test_hosts_are_found_by_the_trait_that_placement_shows(api):
    assert names(api, trait="CUSTOM_E2ETRUST_TRUSTED") == ["host1"]
    assert names(api, trait="CUSTOM_E2ETRUST_LEVEL_3") == ["host1"]
    assert names(api, trait="CUSTOM_E2ETRUST_LEVEL_4") == []
    assert names(api, trait="CUSTOM_E2ETRUST_TRUSTED", min_level=4) == []
    assert get(api, "/v1/hosts", ADMIN, trait="HW_CPU_X86_AVX").status_code == 400


def test_hosts_are_found_by_policy_and_by_the_code_that_they_failed_with(api, database):
    def fail(session) -> None:
        state = host_rows.state(session, "host2")
        state.policy, state.failed = "compute", FAILED
        host_rows.state(session, "host1").policy = "compute"

    database.write(fail)
    assert names(api, policy="compute") == ["host1", "host2"]
    assert names(api, policy="compute", code="CLOCK_WENT_BACK") == ["host2"]
    assert names(api, policy="other") == names(api, code="clock") == []
    found = get(api, "/v1/hosts", ADMIN, policy="compute", state="held").json["hosts"]
    assert [(host["name"], host["policy"]) for host in found] == [("host2", "compute")]


@pytest.mark.parametrize("failed", ["[]", "unreadable"])
def test_host_that_failed_with_no_code_is_found_by_none(api, database, failed):
    def fail(session) -> None:
        state = host_rows.state(session, "host2")
        state.failed = FAILED
        state.failed = failed

    database.write(fail)
    assert names(api, code="CLOCK_WENT_BACK") == []


def test_code_is_never_a_word_of_the_host_itself(api, database):
    said = CheckResult("clock", "fail", '"code":"FALSE"', "TRUE_ONE", where='"code":"FALSE"')
    failed = wire.to_json([said]).decode()

    def fail(session) -> None:
        host_rows.state(session, "host2").failed = failed

    database.write(fail)
    assert names(api, code="TRUE_ONE") == ["host2"]


def test_summary_says_why_hosts_are_red_by_how_many_and_since_when(api, database):
    def fail(session) -> None:
        for number in range(5):
            name, since = f"red{number}", NOW - timedelta(hours=number)
            session.add(_host(name))
            more = {"held": number == 4, "policy": "compute", "failed": FAILED}
            session.add(HostState(host=name, generation=9, since=since, **more))
        silent = {"held": False, "since": NOW, "failed": EXPIRED}
        session.add(HostState(host="silent", generation=9, **silent))

    database.write(fail)
    first, second = get(api, "/v1/summary", ADMIN).json["reasons"]
    assert first == {
        "code": "CLOCK_WENT_BACK",
        "policy": "compute",
        "hosts": 5,
        "held": 1,
        "since": (NOW - timedelta(hours=4)).isoformat(),
        "latest": NOW.isoformat(),
        "example": first["example"],
        "check": wire.to_dict(CheckResult("clock", "fail", "went back", "CLOCK_WENT_BACK")),
    }
    assert first["example"].startswith("red")
    assert (second["example"], second["code"]) == ("host2", None)
    assert second["check"]["code"] == "HOST_HELD"


def test_summary_names_no_host_to_who_may_not_list_them(api, monkeypatch):
    allowed = Access.allowed

    def numbers_only(self, req, rule, project_id=None):
        return rule != rules.LIST and allowed(self, req, rule, project_id)

    monkeypatch.setattr(Access, "allowed", numbers_only)
    found = get(api, "/v1/summary", ADMIN)
    assert (found.json["hosts"]["held"], found.json["reasons"]) == (1, [])
    assert "host2" not in found.text


def test_removed_host_is_counted_nowhere_and_its_attestation_is_not_the_oldest(api, database):
    def attest(session) -> None:
        for name, moment in (("host1", NOW), ("host2", NOW - timedelta(days=9))):
            host_rows.state(session, name).attested_at = moment

    database.write(attest)
    assert api.client.simulate_delete("/v1/hosts/host2", headers=ADMIN).status_code == 204
    found = get(api, "/v1/summary", ADMIN).json
    assert found["hosts"] == {"trusted": 1, "untrusted": 0, "held": 0, "unknown": 0}
    assert datetime.fromisoformat(found["oldest_attestation"]) == NOW


def test_hosts_are_found_by_a_part_of_their_name(api, database):
    def enrol(session) -> None:
        host_rows.add(session, _host("Rack_7-node%1"), held=False, now=NOW)

    database.write(enrol)
    assert names(api, name="T2") == ["host2"]
    assert names(api, name="rack_7-NODE") == ["Rack_7-node%1"]
    # What means something to the database means itself.
    for part in ("%", "_", "r?ck_*", "*%1", "RACK_7-node%?"):
        assert names(api, name=part) == ["Rack_7-node%1"]
    for pattern in ("rack", "?", "*_", "r%*", "/*"):
        assert pattern == "rack" or names(api, name=pattern) == []
    assert names(api, name="h%t") == names(api, name="\\") == []
    assert names(api, name="host", state="trusted") == ["host1"]


def test_summary_counts_hosts_by_how_they_stand(api, database):
    moments = {"host1": NOW, "host2": NOW - timedelta(hours=1)}

    def attested(session) -> None:
        for name, moment in moments.items():
            host_rows.lock_state(session, name, NOW).attested_at = moment
        session.add(_host("host3"))

    database.write(attested)
    found = get(api, "/v1/summary", ADMIN).json
    assert found["hosts"] == {"trusted": 1, "untrusted": 0, "held": 1, "unknown": 1}
    assert datetime.fromisoformat(found["last_verdict"]) == NOW
    assert datetime.fromisoformat(found["oldest_attestation"]) == moments["host2"]
    assert datetime.fromisoformat(found["at"]) >= NOW
    assert (found["started_servers"], found["workers"]) == (2, 0)


FAILED = wire.to_json([CheckResult("clock", "fail", "went back", "CLOCK_WENT_BACK")]).decode()
EXPIRED = wire.to_json([standing.EXPIRED]).decode()
LEASED = {"lease_id": "l", "lease_expires_at": NOW + timedelta(hours=1)}
OVER = {"lease_id": "l", "lease_expires_at": NOW - timedelta(hours=1)}


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("unknown", {}),
        ("unknown", OVER),
        ("unknown", {"failed": EXPIRED}),
        ("trusted", LEASED),
        ("untrusted", {"failed": FAILED}),
        ("untrusted", {**LEASED, "failed": FAILED}),
        ("untrusted", {"failed": "unreadable"}),
        ("held", {**LEASED, "held": True}),
        ("held", {"held": True, "failed": FAILED}),
    ],
)
def test_database_finds_hosts_by_the_same_word_that_they_are_told_with(api, database, word, fields):
    def work(session):
        session.add(_host("host3"))
        row = {"generation": 3, "held": False, "since": NOW, "failed": "[]", **fields}
        session.add(HostState(host="host3", **row))

    database.write(work)
    told = {h["name"]: h["state"] for h in get(api, "/v1/hosts", ADMIN).json["hosts"]}
    assert told["host3"] == word
    for asked in ("trusted", "untrusted", "held", "unknown"):
        found = get(api, "/v1/hosts", ADMIN, state=asked).json["hosts"]
        assert ("host3" in {h["name"] for h in found}) is (asked == word)


def test_history_comes_newest_first_and_in_pages(api, database):
    checks = [CheckResult("clock", "fail", "went back", "CLOCK", "find out", "here")]
    for n in range(3):
        database.write(
            lambda s, n=n: verdicts.add(
                s, "host1", "attest", f"policy{n}", checks, trusted=False, now=NOW
            )
        )
    page = get(api, "/v1/hosts/host1/verdicts", ADMIN, limit=2).json
    assert [verdict["policy"] for verdict in page["verdicts"]] == ["policy2", "policy1"]
    assert page["verdicts"][0]["checks"][0]["where"] == "here"
    query = page["verdicts_links"][0]["href"].partition("?")[2]
    found = api.client.simulate_get(
        "/v1/hosts/host1/verdicts", headers=ADMIN, query_string=query
    ).json
    assert [verdict["policy"] for verdict in found["verdicts"]] == ["policy0"]
    assert get(api, "/v1/hosts/host9/verdicts", ADMIN).status_code == 404


def test_events_come_in_pages(api):
    page = get(api, "/v1/events", ADMIN, limit=2).json
    query = page["events_links"][0]["href"].partition("?")[2]
    found = api.client.simulate_get("/v1/events", headers=ADMIN, query_string=query).json
    assert [event["kind"] for event in found["events"]] == ["kind0"]


def test_operator_revokes_and_approves_and_the_events_say_who_and_why(api):
    revoked = act(api, {"revoke": {"reason": "stolen\ndisk"}}).json
    assert (revoked["state"], revoked["lease_seconds"]) == ("held", 0)
    (check,) = revoked["checks"]
    assert (check["code"], "stolen?disk" in check["reason"]) == ("HOST_REVOKED", True)
    assert act(api, {"approve": {}}).json["state"] == "unknown"
    told = [e["message"] for e in get(api, "/v1/events", ADMIN, host="host1").json["events"]]
    assert told[:2] == [
        "approved by an operator (u)",
        "revoked by an operator (u): stolen?disk",
    ]


def test_host_is_approved_only_with_the_key_that_the_operator_means(api):
    known = hashlib.sha256(b"ek").hexdigest()
    act(api, {"revoke": {}})
    refused = act(api, {"approve": {"ek_sha256": "0" * 64}})
    assert (refused.status_code, refused.json["error"]["code"]) == (409, "HOST_OTHER")
    assert get(api, "/v1/hosts/host1", ADMIN).json["state"] == "held"
    assert act(api, {"approve": {"ek_sha256": known}}).json["state"] == "unknown"


def test_removed_host_is_not_there_any_more(api):
    assert api.client.simulate_delete("/v1/hosts/host2", headers=ADMIN).status_code == 204
    assert get(api, "/v1/hosts/host2", ADMIN).status_code == 404
    assert api.client.simulate_delete("/v1/hosts/host2", headers=ADMIN).status_code == 404


@pytest.mark.parametrize("body", [{}, {"approve": {}, "revoke": {}}, {"dance": {}}, [], "x"])
def test_action_that_is_none_changes_nothing(api, body):
    assert act(api, body).status_code == 400
    assert get(api, "/v1/hosts/host1", ADMIN).json["state"] == "trusted"


def test_action_on_a_host_that_is_not_there(api):
    for body in ({"approve": {}}, {"revoke": {}}):
        assert act(api, body, host="host9").json["error"]["code"] == "HOST_UNKNOWN"


@pytest.mark.parametrize(
    ("who", "status"),
    [({}, 401), (token("alice", "member"), 403), (token(None, "reader", system=True), 403)],
)
def test_who_may_only_read_decides_nothing(api, who, status):
    for body in ({"approve": {}}, {"revoke": {}}):
        assert act(api, body, who).status_code == status
    assert api.client.simulate_delete("/v1/hosts/host1", headers=who).status_code == status
    assert get(api, "/v1/hosts/host1", ADMIN).json["state"] == "trusted"


def test_host_that_stands_as_before_is_not_sent_again(api, database):
    first = get(api, "/v1/hosts/host1", ADMIN)
    tag = first.headers["etag"]
    again = get(api, "/v1/hosts/host1", {**ADMIN, "If-None-Match": tag})
    assert (again.status_code, again.text) == (304, "")

    def expire(session):
        host_rows.state(session, "host1").lease_expires_at = NOW - timedelta(seconds=1)

    database.write(expire)  # nobody wrote that down yet: the generation is the same
    later = get(api, "/v1/hosts/host1", {**ADMIN, "If-None-Match": tag})
    assert (later.status_code, later.json["state"]) == (200, "unknown")


@pytest.mark.parametrize("path", ["/v1/hosts", "/v1/summary"])
def test_fleet_that_stands_as_before_is_not_gone_through_again(api, database, monkeypatch, path):
    database.write(lambda s: workers.seen(s, "w", "m", datetime.now(UTC)))
    tag = get(api, path, ADMIN).headers["etag"]

    def gone_through(*_others, **__):
        raise AssertionError

    with monkeypatch.context() as closed:
        closed.setattr(host_rows, "page_of_states", gone_through)
        closed.setattr(host_rows, "attested", gone_through)
        again = get(api, path, {**ADMIN, "If-None-Match": tag})
        assert (again.status_code, again.text) == (304, "")
    act(api, {"revoke": {}})
    assert get(api, path, {**ADMIN, "If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/hosts", "/v1/summary"])
def test_without_a_worker_nobody_notes_that_leases_run_out_and_nothing_is_tagged(
    api, database, path
):
    database.write(lambda s: workers.seen(s, "w", "m", datetime.now(UTC) - timedelta(minutes=1)))
    assert "etag" not in get(api, path, ADMIN).headers


def test_servers_that_start_are_another_summary(api, database):
    database.write(lambda s: workers.seen(s, "w", "m", datetime.now(UTC)))
    tag = get(api, "/v1/summary", ADMIN).headers["etag"]
    database.write(lambda s: s.add(_launch("more", VM, "alice", "started")))
    answer = get(api, "/v1/summary", {**ADMIN, "If-None-Match": tag})
    assert answer.json["started_servers"] == 3


def test_metrics_are_those_of_the_database_and_name_no_host(api, database):
    database.write(lambda s: standing.see_clock(host_rows.state(s, "host1"), None, NOW))
    answer = get(api, "/metrics")
    assert answer.status_code == 200
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["e2etrust_hosts", "trusted"] == 1
    assert samples["e2etrust_hosts", "held"] == 1
    assert samples["e2etrust_started_servers",] == 2
    assert samples["e2etrust_last_verdict_timestamp_seconds",] == NOW.timestamp()
    assert "host1" not in answer.text


def _recorded(host: str, checks: list[CheckResult]) -> RecordedAppraisal:
    quote = Quote(b"a", b"s", {"sha256": {0: bytes(32)}})
    return RecordedAppraisal(
        host, "s", b"ek", b"ak", b"n", {}, HostEvidence(quote, b"log"), "at", "p", "f", checks
    )


GOOD, BAD = CheckResult("clock", "pass", "went on"), CheckResult("clock", "fail", "back", "CLOCK")


def test_recorded_evidence_is_read_whole_by_administrators_only(api, database):
    database.write(lambda s: evidence.add(s, _recorded("host1", [BAD]), NOW))
    database.write(lambda s: evidence.add(s, _recorded("host1", [GOOD]), NOW))
    listed = get(api, "/v1/hosts/host1/evidence", ADMIN).json["evidence"]
    assert [one["trusted"] for one in listed] == [True, False]
    whole = get(api, f"/v1/hosts/host1/evidence/{listed[1]['id']}", ADMIN).json
    assert wire.from_dict(RecordedAppraisal, whole) == _recorded("host1", [BAD])
    for path in ("", f"/{listed[0]['id']}"):
        who = token(None, "reader", system=True)
        assert get(api, f"/v1/hosts/host1/evidence{path}", who).status_code == 403
    other = get(api, f"/v1/hosts/host2/evidence/{listed[0]['id']}", ADMIN)
    assert (other.status_code, other.json["error"]["code"]) == (404, "EVIDENCE_UNKNOWN")


def test_outcome_is_news_by_policy_checks_and_reasons_of_failure_and_after_an_hour():
    state = HostState()

    def news(checks, of="attest f", now=NOW):
        return standing.is_news(state, of, checks, now)

    assert news([GOOD])
    assert not news([GOOD])
    assert not news([replace(GOOD, reason="went on by 7 ms")])
    assert news([BAD])
    assert news([replace(BAD, reason="back by 7 ms")])
    assert news([GOOD])
    assert news([GOOD], "attest another policy")
    later = NOW + standing.AGAIN_AFTER
    assert news([GOOD], "attest another policy", later)
    assert not news([GOOD], "attest another policy", later)


def test_newest_recorded_evidence_is_kept(database):
    for _ in range(evidence.KEPT + 3):
        database.write(lambda s: evidence.add(s, _recorded("host1", [GOOD]), NOW))
    assert len(database.read(lambda s: evidence.of_host(s, "host1"))) == evidence.KEPT
