# SPDX-License-Identifier: Apache-2.0
"""The REST client against a real HTTP server that answers what each test says."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from keystoneauth1 import noauth, session

from e2etrust_client.api import AttestationClient
from e2etrust_client.errors import ClientError, ServiceRefusal
from e2etrust_core.messages import GuestAsk


@pytest.fixture
def service():
    """An HTTP server: set ``answers[(method, path)] = (status, body)``; ``seen`` has requests."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            server.seen.append((self.command, self.path, self.rfile.read(length)))
            server.if_match.append(self.headers.get("If-Match"))
            status, body = server.answers[(self.command, self.path)]
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", '"tag"')
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.seen, server.if_match = {}, [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(service):
    url = f"http://127.0.0.1:{service.server_address[1]}"
    return AttestationClient(session.Session(auth=noauth.NoAuth(endpoint=url)))


def test_host_is_read_with_its_checks(service, client):
    row = {"check": "pcr-policy", "outcome": "fail", "reason": "sha256:4", "code": "PCR_MISMATCH"}
    service.answers["GET", "/v1/hosts/h2"] = (
        200,
        {"name": "h2", "state": "untrusted", "lease_seconds": 0, "checks": [row]},
    )
    host = client.host("h2")
    assert (host.state, host.checks[0].code) == ("untrusted", "PCR_MISMATCH")


def test_refusal_of_the_service_keeps_code_reason_and_remedy(service, client):
    service.answers["GET", "/v1/servers/x"] = (
        403,
        {"error": {"code": "FORBIDDEN", "reason": "not yours", "remedy": "ask its owner"}},
    )
    with pytest.raises(ServiceRefusal) as caught:
        client.server("x")
    assert (caught.value.code, caught.value.reason) == ("FORBIDDEN", "not yours")
    assert caught.value.remedy == "ask its owner"


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"hosts": [{"name": 1}]}', b"\xff"])
def test_answer_of_another_shape_is_one_clear_error(service, client, body):
    service.answers["GET", "/v1/hosts"] = (200, body)
    with pytest.raises(ClientError, match="something else"):
        client.hosts()


def test_error_page_that_is_not_ours_names_the_status(service, client):
    service.answers["GET", "/v1/hosts"] = (502, b"<html>bad gateway</html>")
    with pytest.raises(ClientError, match="HTTP 502"):
        client.hosts()


def test_service_that_does_not_answer_is_named_down():
    auth = noauth.NoAuth(endpoint="http://127.0.0.1:1")
    with pytest.raises(ClientError) as caught:
        AttestationClient(session.Session(auth=auth)).info()
    assert caught.value.code == "SERVICE_DOWN"


def test_evidence_is_asked_with_the_nonce_and_without_the_instance_in_the_body(service, client):
    service.answers["POST", "/v1/servers/i1/evidence"] = (
        409,
        {"error": {"code": "NO_LAUNCH", "reason": "none"}},
    )
    with pytest.raises(ServiceRefusal):
        client.server_evidence(GuestAsk("i1", b"\x01\x02"))
    body = json.loads(service.seen[-1][2])
    assert body["nonce"] == "AQI="
    assert "instance" not in body


def test_event_query_carries_only_what_was_asked(service, client):
    path = "/v1/events?limit=5&host=h1"
    service.answers["GET", path] = (
        200,
        {"events": [{"id": 1, "at": "t", "kind": "k", "message": "m"}]},
    )
    assert client.events(limit=5, host="h1")[0].kind == "k"


def test_hosts_are_read_page_by_page(service, client):
    link = {"rel": "next", "href": "http://elsewhere/"}  # only that there is one counts
    service.answers["GET", "/v1/hosts?state=held"] = (
        200,
        {"hosts": [{"name": "h1", "state": "held"}], "hosts_links": [link]},
    )
    service.answers["GET", "/v1/hosts?state=held&marker=h1"] = (
        200,
        {"hosts": [{"name": "h2", "state": "held"}]},
    )
    assert [host.name for host in client.hosts("held")] == ["h1", "h2"]
    service.answers["GET", "/v1/hosts?limit=1"] = (
        200,
        {"hosts": [{"name": "h1", "state": "held"}], "hosts_links": [link]},
    )
    assert [host.name for host in client.hosts(limit=1)] == ["h1"]


def test_history_and_events_are_read_beyond_the_largest_page(service, client):
    def rows(first, count):
        return [
            {"id": n, "at": "t", "kind": "k", "message": "m"}
            for n in range(first, first - count, -1)
        ]

    link = [{"rel": "next", "href": "http://elsewhere/"}]
    service.answers["GET", "/v1/events?limit=1000&kind=k"] = (
        200,
        {"events": rows(2000, 1000), "events_links": link},
    )
    service.answers["GET", "/v1/events?limit=500&marker=1001&kind=k"] = (
        200,
        {"events": rows(1000, 400)},
    )
    assert len(client.events(1500, kind="k")) == 1400
    verdict = {"at": "t", "purpose": "attest", "policy": "p", "trusted": True, "checks": []}
    service.answers["GET", "/v1/hosts/h1/verdicts?limit=2"] = (
        200,
        {"verdicts": [{"id": 9, **verdict}], "verdicts_links": link},
    )
    service.answers["GET", "/v1/hosts/h1/verdicts?limit=1&marker=9"] = (
        200,
        {"verdicts": [{"id": 8, **verdict}], "verdicts_links": link},
    )
    assert [one.id for one in client.host_history("h1", 2)] == [9, 8]


def test_more_hosts_than_a_page_holds_are_asked_for_page_by_page(service, client):
    def page(*names, more):
        rows = [{"name": name, "state": "trusted"} for name in names]
        return 200, {"hosts": rows, "hosts_links": [{"rel": "next", "href": "x"}] if more else []}

    service.answers["GET", "/v1/hosts?limit=1000"] = page("h1", "h2", more=True)
    service.answers["GET", "/v1/hosts?limit=1000&marker=h2"] = page("h3", more=False)
    assert [host.name for host in client.hosts(limit=1500)] == ["h1", "h2", "h3"]


def test_operators_decisions_are_sent_as_they_are(service, client):
    answer = (200, {"name": "h/1", "state": "held"})
    service.answers["POST", "/v1/hosts/h%2F1/action"] = answer
    service.answers["DELETE", "/v1/hosts/h%2F1"] = (204, b"")
    assert client.revoke_host("h/1", "stolen").state == "held"
    client.approve_host("h/1")
    client.approve_host("h/1", "ab")
    client.remove_host("h/1")
    sent = [(method, json.loads(body) if body else None) for method, _, body in service.seen]
    assert sent == [
        ("POST", {"revoke": {"reason": "stolen"}}),
        ("POST", {"approve": {}}),
        ("POST", {"approve": {"ek_sha256": "ab"}}),
        ("DELETE", None),
    ]


def test_what_is_expected_of_a_host_is_changed_only_while_it_is_what_was_read(service, client):
    path = "/v1/inventory/h1"
    row = {"host": "h1", "ek_sha256": ["ab"], "since": "t", "by": "u", "enrolled": False}
    service.answers["GET", path] = service.answers["PUT", path] = (200, row)
    service.answers["DELETE", path] = (
        412,
        {"error": {"code": "CHANGED", "reason": "another", "remedy": "look"}},
    )
    found, tag = client.expected_host("h1")
    assert (found.ek_sha256, tag) == (["ab"], '"tag"')
    client.expect_host("h1", ["cd"], replace=False, if_match=tag)
    with pytest.raises(ServiceRefusal, match="another"):
        client.unexpect_host("h1", if_match=tag)
    client.expect_host("h1", ["cd"], replace=False)
    assert service.if_match == [None, tag, tag, None]


def test_history_is_read_with_its_checks(service, client):
    row = {"id": 7, "at": "t", "purpose": "attest", "policy": "p", "trusted": True, "checks": []}
    service.answers["GET", "/v1/hosts/h1/verdicts?limit=2"] = (200, {"verdicts": [row]})
    (verdict,) = client.host_history("h1", 2)
    assert (verdict.id, verdict.trusted) == (7, True)
