# SPDX-License-Identifier: Apache-2.0
"""The whole application, with authentication before it and no keystone behind it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from falcon import testing
from oslo_config import cfg
from oslo_db import options
from prometheus_client.parser import text_string_to_metric_families

from e2etrust_verifier import conf as configuration
from e2etrust_verifier.api import wsgi
from e2etrust_verifier.db import events, migration, workers
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.heartbeat import Heartbeat
from e2etrust_verifier.trust import records


@pytest.fixture
def database(tmp_path):
    conf = cfg.ConfigOpts()
    options.set_defaults(conf, connection=f"sqlite:///{tmp_path}/v.sqlite")
    conf([])
    made = Database(conf)
    yield made
    made.dispose()


@pytest.fixture
def client(tmp_path):
    return made(tmp_path, "")


def made(tmp_path, more):
    path = tmp_path / "verifier.conf"
    path.touch(mode=0o600)
    path.write_text(
        "[DEFAULT]\ntransport_url = kombu+memory:////\n"
        f"[database]\nconnection = sqlite:///{tmp_path}/v.sqlite\n"
        f"[verifier]\nsigning_key = {tmp_path}/key.pem\n"
        "[keystone_authtoken]\nauth_url = http://127.0.0.1:9/v3\nauth_type = password\n"
        f"{more}"
    )
    # Not the process-wide object: other tests of this process have Nova's options in that.
    conf = configuration.load([str(path)], cfg.ConfigOpts())
    migration.sync(Database(conf))
    records.create_key(tmp_path / "key.pem")
    return testing.TestClient(wsgi.make_application(conf))


BY_TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "cloud:8797"}


def test_links_behind_a_proxy_are_the_proxys(tmp_path):
    """A token that followed a link without TLS would be everybody's."""
    client = made(tmp_path, "[oslo_middleware]\nenable_proxy_headers_parsing = true\n")
    (version,) = client.simulate_get("/", headers=BY_TLS).json["versions"]
    assert version["links"][0]["href"] == "https://cloud:8797/v1"


def test_without_a_proxy_nobody_says_where_links_lead(client):
    (version,) = client.simulate_get("/", headers=BY_TLS).json["versions"]
    assert version["links"][0]["href"].startswith("http://falconframework.org")


def test_identity_made_up_by_the_caller_is_not_believed(client):
    made_up = {"X-Identity-Status": "Confirmed", "X-Roles": "admin", "X-Project-Id": "p"}
    answer = client.simulate_get("/v1/hosts", headers=made_up)
    assert (answer.status_code, answer.json["error"]["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("path", ["/v1/hosts", "/v1/hosts/host1", "/v1/servers/x", "/v1/nothing"])
def test_answer_is_kept_by_no_cache_for_another_token(client, path):
    """Caches know of Authorization that an answer is for one caller, and not of X-Auth-Token."""
    answer = client.simulate_get(path)
    assert "private" in answer.headers["cache-control"]
    assert "x-auth-token" in answer.headers["vary"].lower()
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_health_versions_and_keys_need_no_token(client):
    assert client.simulate_get("/healthcheck").status_code == 200
    assert client.simulate_get("/").json["versions"][0]["id"] == "v1"
    (key,) = client.simulate_get("/v1/jwks").json["keys"]
    assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ES256")
    assert "d" not in key


def test_what_is_wrong_with_a_signing_key_is_told_in_the_log_alone(client, tmp_path, caplog):
    (tmp_path / "key.pem").unlink()
    answer = client.simulate_get("/v1/jwks")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "SIGNING_KEY")
    assert "key.pem" not in answer.text
    assert "key.pem" in caplog.text


def test_metrics_need_no_token_and_count_the_fleet(client):
    text = client.simulate_get("/metrics").text
    found = {one.name: one for one in text_string_to_metric_families(text)}
    states = {s.labels["state"]: s.value for s in found["e2etrust_hosts"].samples}
    assert states == {"trusted": 0, "untrusted": 0, "held": 0, "unknown": 0}
    assert found["e2etrust_last_verdict_timestamp_seconds"].samples[0].value == 0


@pytest.fixture
def now():
    # Not the moment at which this file was read: workers count as gone after 45 seconds.
    return datetime.now(UTC)


def metric(client, name):
    text = client.simulate_get("/metrics").text
    found = {one.name: one for one in text_string_to_metric_families(text)}
    return [(s.labels, s.value) for s in found[f"e2etrust_{name}"].samples]


def test_without_a_worker_the_api_is_healthy_and_the_verifier_is_not(client):
    assert client.simulate_get("/healthcheck").status_code == 200
    answer = client.simulate_get("/healthcheck/verifier")
    assert answer.status_code == 503
    assert "no e2etrust-verifier works" in answer.text
    assert metric(client, "workers") == [({}, 0)]


def test_worker_that_beats_is_seen_and_one_that_ended_or_fell_silent_is_not(client, database, now):
    beating = Heartbeat(database, lambda: now)
    silent = Heartbeat(database, lambda: now - timedelta(minutes=1))
    for one in (beating, beating, silent):
        one.beat()
    assert client.simulate_get("/healthcheck/verifier").status_code == 200
    assert metric(client, "workers") == [({}, 1)]
    ended = Heartbeat(database, lambda: now)
    ended.start()
    ended.stop()
    assert metric(client, "workers") == [({}, 1)]
    assert metric(client, "last_worker_timestamp_seconds") == [({}, pytest.approx(now.timestamp()))]


def test_database_that_is_away_is_told_without_its_address(client, tmp_path):
    (tmp_path / "v.sqlite").write_bytes(b"no database" * 1000)
    for path in ("/healthcheck", "/healthcheck/verifier"):
        answer = client.simulate_get(path)
        assert answer.status_code == 503
        assert "the database does not answer" in answer.text
        assert "sqlite" not in answer.text


def test_what_waits_to_be_told_is_counted(client, database, now):
    database.write(lambda s: events.add(s, "host-trusted", "m", now=now))
    assert metric(client, "outbox_waiting") == [({"destination": "unsorted"}, 1)]
    assert metric(client, "revocation_braked") == [({}, 0)]
    database.write(lambda s: events.add(s, "revocation-braked", "m", now=now))
    assert metric(client, "revocation_braked") == [({}, 1)]


def test_worker_that_has_been_gone_for_a_day_is_forgotten(client, database, now):
    Heartbeat(database, lambda: now - timedelta(days=2)).beat()
    database.write(lambda s: workers.forget_gone(s, now))
    assert metric(client, "last_worker_timestamp_seconds") == [({}, 0)]


def test_process_has_one_pool_of_connections(tmp_path, monkeypatch):
    """Operators size the database's max_connections by that."""
    made_of = []
    monkeypatch.setattr(wsgi, "Database", lambda conf: made_of.append(Database(conf)) or made_of[0])
    made(tmp_path, "")
    assert len(made_of) == 1
