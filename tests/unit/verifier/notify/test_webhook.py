# SPDX-License-Identifier: Apache-2.0
"""A webhook against real servers: what arrives, and servers that misbehave."""

from __future__ import annotations

import base64
import json
import ssl

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from e2etrust_verifier.notify.destination import DeliveryFailed, DeliveryRefused, Patience
from e2etrust_verifier.notify.notice import Notice
from e2etrust_verifier.notify.webhook import Webhook, WebhookUrlError
from tests.unit.verifier.notify.web_server import WebServer, make_certificate

SECRET = b"s" * 32
NOTICE = Notice(
    "0a0a0a0a-1111-4222-8333-444444444444",
    "e2etrust.host.untrusted",
    "2026-01-01T00:00:00+00:00",
    "PCR_MISMATCH: ...",
    "host1",
    codes=["PCR_MISMATCH"],
)


def webhook(url, ca=None, timeout=5.0):
    tls = ssl.create_default_context(cafile=ca)
    return Webhook(url, [SECRET], tls, timeout, Patience(3, 1, 2))


@pytest.fixture
def server():
    with WebServer() as made:
        yield made


def test_what_arrives_is_signed_json_of_the_recommended_shape(server):
    webhook(server.url("/hook?to=me")).deliver(NOTICE, "error")
    (got,) = server.received
    verifier = Verifier(base64.b64encode(SECRET).decode())
    told = verifier.verify(got.body.decode(), got.headers)
    assert got.path == "/hook?to=me"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == NOTICE.id
    assert (told["type"], told["timestamp"]) == (NOTICE.type, NOTICE.at)
    assert told["data"]["codes"] == ["PCR_MISMATCH"]
    assert set(json.loads(got.body)) == {"type", "timestamp", "data"}


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_status_that_is_no_success_is_a_failed_try(server, status):
    server.answers.append(status)
    with pytest.raises(DeliveryFailed, match=str(status)) as caught:
        webhook(server.url()).deliver(NOTICE, "error")
    assert not isinstance(caught.value, DeliveryRefused)


def test_gone_is_for_good(server):
    server.answers.append(410)
    with pytest.raises(DeliveryRefused):
        webhook(server.url()).deliver(NOTICE, "error")


def test_redirect_is_not_followed(server):
    with WebServer() as other:
        server.answers.append(other.url("/elsewhere"))
        with pytest.raises(DeliveryFailed, match="307"):
            webhook(server.url()).deliver(NOTICE, "error")
        assert other.received == []


@pytest.mark.parametrize("how", ["close", "silence", "drip"])
def test_server_that_never_answers_is_left(server, how):
    server.answers.append(how)
    with pytest.raises(DeliveryFailed, match="does not answer"):
        webhook(server.url(), timeout=0.4).deliver(NOTICE, "error")


def test_endless_answer_is_not_read(server):
    server.answers.append("endless")
    webhook(server.url()).deliver(NOTICE, "error")


def test_nobody_there(server):
    url = server.url()
    server.__exit__()
    try:
        with pytest.raises(DeliveryFailed, match="ConnectionRefused"):
            webhook(url).deliver(NOTICE, "error")
    finally:
        server.__enter__()


def test_proxy_of_the_environment_is_not_used(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    webhook(server.url()).deliver(NOTICE, "error")
    assert len(server.received) == 1


def test_certificate_that_chains_to_ours_is_taken(tmp_path):
    made = make_certificate(tmp_path / "tls", "IP:127.0.0.1")
    with WebServer(tls=made) as server:
        webhook(server.url(), str(made / "cert.pem")).deliver(NOTICE, "error")
        assert len(server.received) == 1


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_wrong_certificate_is_refused_before_anything_is_told(tmp_path, wrong):
    made = make_certificate(tmp_path / "tls", "IP:127.0.0.1" if wrong == "authority" else "DNS:a")
    ca = None if wrong == "authority" else str(made / "cert.pem")
    with WebServer(tls=made) as server:
        told = webhook(server.url(), ca)
        with pytest.raises(DeliveryFailed, match="certificate"):
            told.deliver(NOTICE, "error")
        assert server.received == []


@pytest.mark.parametrize("how", ["silence", "drip"])
def test_deadline_holds_under_tls(tmp_path, how):
    made = make_certificate(tmp_path / "tls", "IP:127.0.0.1")
    with WebServer(tls=made, answers=[how]) as server:
        told = webhook(server.url(), str(made / "cert.pem"), 0.4)
        with pytest.raises(DeliveryFailed, match="does not answer"):
            told.deliver(NOTICE, "error")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://127.0.0.1/",
        "https://",
        "https://user:word@example.org/",
        "https://example.org/#part",
        "https://example.org/a\r\nx: y",
        "https://example.org:port/",
        "hook",
    ],
)
def test_url_that_is_not_https_or_holds_what_it_should_not_is_refused(url):
    with pytest.raises(WebhookUrlError, match="WEBHOOK_URL") as caught:
        webhook(url)
    assert "word" not in str(caught.value)


def test_name_shows_nothing_of_the_url_and_fits_its_column():
    made = webhook("https://example.org/hooks/T0K3N")
    assert "T0K3N" not in made.name
    assert made.name != webhook("https://example.org/hooks/other").name
    assert len(made.name) <= 64
