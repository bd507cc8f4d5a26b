# SPDX-License-Identifier: Apache-2.0
"""The page as it is served: by itself, with nothing of others in it, under a strict policy."""

from __future__ import annotations

import json
import re

import falcon
import pytest
from falcon import testing

from e2etrust_verifier.api import dashboard, errors
from e2etrust_verifier.notify import kinds

NAMES = sorted(dashboard.files())


@pytest.fixture
def client():
    app = falcon.App()
    for path in ("/dashboard", "/dashboard/{name}"):
        app.add_route(path, dashboard.Dashboard())
    errors.install(app)
    return testing.TestClient(app)


def policy_of(answer) -> dict[str, list[str]]:
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: values for name, *values in parts}


def test_page_and_all_it_is_made_of_are_there(client):
    page = client.simulate_get("/dashboard")
    assert page.headers["content-type"].startswith("text/html")
    own = set(re.findall(r'(?:src|href)="dashboard/([^"]+)"', page.text))
    assert "main.js" in own
    for name in NAMES:
        found = client.simulate_get(f"/dashboard/{name}")
        assert (found.status_code, found.content) == (200, dashboard.files()[name].data)
        own |= set(re.findall(r'from "\./([^"]+)"', found.text))
    assert own | {dashboard.PAGE} == set(NAMES)


def test_every_kind_of_event_is_proposed_to_who_looks_for_one():
    listed = re.search(r"const KINDS = (\[[^\]]+\]);", dashboard.files()["events.js"].data.decode())
    assert json.loads(listed[1]) == sorted(kinds.KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_another_origin_is_named_anywhere(name):
    text = dashboard.files()[name].data.decode()
    assert set(re.findall(r"https?://[^\s\"'<>]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(", text)


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith((".js", ".html"))])
def test_no_script_makes_markup_of_text_or_keeps_anything(name):
    text = dashboard.files()[name].data.decode()
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc"
        r"|localStorage|sessionStorage|indexedDB|document\.cookie|\son\w+=|style="
    )
    assert re.findall(forbidden, text) == []


@pytest.mark.parametrize("path", ["/dashboard", *(f"/dashboard/{name}" for name in NAMES)])
def test_browser_is_told_to_load_and_ask_nothing_but_this_service(client, path):
    answer = client.simulate_get(path)
    policy = policy_of(answer)
    assert policy["default-src"] == ["'none'"]
    for name in ("script-src", "style-src", "img-src", "connect-src"):
        assert policy[name] == ["'self'"]
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == ["'none'"]
    assert policy["require-trusted-types-for"] == ["'script'"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_page_that_is_known_is_not_sent_again(client):
    tag = client.simulate_get("/dashboard").headers["etag"]
    again = client.simulate_get("/dashboard", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = client.simulate_get("/dashboard", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "__init__.py", "..", "%2e%2e%2fapi%2fwsgi.py"])
def test_only_files_of_the_page_are_served(client, name):
    assert client.simulate_get(f"/dashboard/{name}").status_code == 404
