# SPDX-License-Identifier: Apache-2.0
"""The operators' page in headless Chromium, against the whole application and its database."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_verifier.db import hosts, verdicts
from e2etrust_verifier.db.models import Host
from e2etrust_verifier.trust import operator, standing
from tests.functional.verifier.browser_fixture import asked_for, browser
from tests.functional.verifier.page_fleet import MARKUP, PageFleet, served

QUIET = 2
ENROLLED = QUIET + 8
RED = "#/hosts?state=untrusted%2Cheld"
PATIENCE = 20


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[SimpleNamespace]:
    fleet = PageFleet(tmp_path_factory.mktemp("fleet"))
    fleet.live(QUIET, times=3)
    profile = tmp_path_factory.mktemp("profile")
    with served(fleet.conf) as url, browser(profile) as driver:
        yield SimpleNamespace(fleet=fleet, url=url, driver=driver)
    fleet.around.db.dispose()


def until(page, holds):
    """Return what *holds* says of the page once it is true."""
    wait = WebDriverWait(page.driver, PATIENCE, poll_frequency=0.1)
    return wait.until(lambda driver: holds(driver))


def text_of(page, place="body"):
    """What is read at *place*; asked in one call, so that no refresh comes between."""
    script = "return document.getElementById(arguments[0]).innerText"
    return page.driver.execute_script(script, place)


def enter(page, token="administrator", where=RED):  # noqa: S107
    page.driver.get("about:blank")
    page.driver.get(f"{page.url}/dashboard{where}")
    page.driver.find_element(By.ID, "token").send_keys(token, Keys.ENTER)


def shows(page, *words, place="body"):
    return until(page, lambda _: all(word in text_of(page, place) for word in words))


def visit(page, where):
    page.driver.execute_script("location.hash = arguments[0]", where)


def listed(page):
    """What is linked to in the list, the last part of the page."""
    places = "#body section:last-of-type td a"
    script = "return [...document.querySelectorAll(arguments[0])].map(a => a.textContent)"
    return page.driver.execute_script(script, places)


def test_fleet_is_told_by_state_and_red_hosts_say_why_and_since_when(page):
    enter(page)
    shows(page, "Red hosts", "compute-007")
    tiles = text_of(page, "fleet")
    assert [line for line in tiles.split("\n") if line.isdigit()] == [
        *("6", "2", "4", "2"),
        str(ENROLLED - 8),
        str(ENROLLED),
    ]
    assert listed(page) == [
        *("compute-007", "compute-019", "compute-023", "compute-031"),
        *("edge-01", "edge-02"),
    ]
    assert "verifier workers: 2" in tiles
    told = text_of(page)
    for words in ("PCR_MISMATCH", "CLOCK_WENT_BACK", "HOST_REVOKED", "the disk was swapped"):
        assert words in told
    assert " h ago" in told
    # Three of a policy that waits for an operator, one revoked: not one of them lies as trusted.
    assert "Trusted" not in told


def test_first_screen_says_what_is_wrong_with_how_many_and_leads_to_them(page):
    enter(page)
    shows(page, "What is wrong", "2 hosts")
    script = (
        "return [...document.querySelectorAll('#body section:first-of-type tbody tr')]"
        ".map(row => row.innerText.replace(/\\s+/g, ' '))"
    )
    first, *others = page.driver.execute_script(script)
    assert len(others) == 4
    assert "2 hosts PCR_MISMATCH PCR sha256:7 not as policy edge accepts" in first
    assert " ago" in first
    assert "add its new values to the policy" in first
    page.driver.find_element(By.LINK_TEXT, "2 hosts").click()
    shows(page, "Red hosts that failed with PCR_MISMATCH by policy")
    until(page, lambda _: listed(page) == ["edge-01", "edge-02"])
    assert "What is wrong" not in text_of(page)


def test_hosts_are_found_by_trait_and_a_word_that_is_none_is_said(page):
    enter(page)
    shows(page, "compute-007")
    visit(page, "#/hosts?trait=CUSTOM_E2ETRUST_TRUSTED&policy=edge")
    shows(page, "No such hosts")
    visit(page, "#/hosts?trait=HW_CPU_X86_AVX")
    shows(page, "trait is CUSTOM_E2ETRUST_TRUSTED or one of")


def test_host_tells_its_checks_remedies_history_and_events(page):
    enter(page, where="#/hosts/compute-007")
    shows(page, "compute-007", "What to do", "Checks", "History", "Events")
    told = text_of(page)
    assert "openstack attestation host approve compute-007" in told
    assert "host-failed" in told
    script = "return document.querySelectorAll('#body .strip i.untrusted').length"
    assert page.driver.execute_script(script) >= 3
    failing = (
        "return [...document.querySelectorAll('#body td[data-label=\"Failing since\"] time')]"
        ".map(t => t.dateTime)"
    )
    (since,) = page.driver.execute_script(failing)
    first = page.fleet.around.db.read(
        lambda s: [v.at for v in verdicts.page(s, "compute-007", None, 500) if not v.trusted][-1]
    )
    assert since == first.isoformat()


def test_events_are_found_by_host_and_kind(page):
    enter(page, where="#/events")
    shows(page, "host-trusted")
    visit(page, "#/events?host=compute-023&kind=host-revoked")
    until(page, lambda _: listed(page) == ["compute-023"])
    assert "revoked by an operator (admin): the disk was swapped" in text_of(page)


def test_keyboard_alone_reaches_a_host(page):
    enter(page)
    shows(page, "compute-007")
    keys = page.driver.switch_to
    for _ in range(40):
        keys.active_element.send_keys(Keys.TAB)
        if keys.active_element.text == "compute-019":
            break
    keys.active_element.send_keys(Keys.ENTER)
    shows(page, "CLOCK_WENT_BACK", "What to do")


def test_long_lists_come_page_by_page_and_hosts_are_found_by_name(page):
    enter(page, where="#/hosts?limit=8")
    until(page, lambda _: len(listed(page)) == 8)
    first = listed(page)
    page.driver.find_element(By.LINK_TEXT, "Next page").click()
    until(page, lambda _: len(listed(page)) == ENROLLED - 8)
    assert not set(first) & set(listed(page))
    page.driver.find_element(By.LINK_TEXT, "First page").click()
    until(page, lambda _: listed(page) == first)
    field = page.driver.find_element(By.CSS_SELECTOR, "#controls input")
    field.send_keys("EDGE", Keys.ENTER)
    until(page, lambda _: listed(page) == ["edge-01", "edge-02"])


def test_words_of_a_host_are_words_and_nothing_runs(page):
    """A host names its server, and a row in the database everything else, as an attacker likes."""
    hostile = CheckResult(MARKUP, "fail", MARKUP, MARKUP, MARKUP, MARKUP)
    name = "<svg onload=document.title='owned'>"
    row = Host(
        name=name,
        suite="s",
        ek_public=b"ek",
        ek_certificate=None,
        ek_accepted_by="inventory",
        ak_public=b"ak",
        ak_name=b"n",
        enrolled_at=page.fleet.now,
    )

    def write(session):
        hosts.add(session, row, held=False, now=page.fleet.now)
        state = hosts.lock_state(session, name, page.fleet.now)
        standing.withdraw(session, state, [hostile], page.fleet.now, why="failed", hold=False)

    page.fleet.around.db.write(write)
    try:
        enter(page)
        shows(page, name, MARKUP)
        visit(page, f"#/hosts/{quote(name, safe='')}")
        shows(page, name, MARKUP, "What to do")
        visit(page, "#/events?kind=unrecorded-domain")
        until(page, lambda driver: "events" in driver.title)  # the view before has that markup too
        shows(page, MARKUP)
        alien = "return document.querySelectorAll('main img, main script, main svg').length"
        assert page.driver.execute_script(alien) == 0
        assert "owned" not in page.driver.title
    finally:
        operator.remove(page.fleet.around.db, name, page.fleet.now)


def test_browser_itself_refuses_what_a_fault_in_the_page_would_let_through(page):
    enter(page)
    shows(page, "compute-007")
    page.driver.get_log("browser")
    script = (
        "try { document.body.innerHTML = arguments[0]; return ''; } catch (e) { return e.name; }"
    )
    assert page.driver.execute_script(script, MARKUP) == "TypeError"
    inline = (
        "const one = document.createElement('img'); one.setAttribute('onerror', 'owned=1');"
        "one.src = 'dashboard/none'; document.body.append(one)"
    )
    try:
        page.driver.execute_script(inline)
    except Exception as exc:
        assert "TrustedScript" in str(exc)  # noqa: PT017
    out = (
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done('out'),"
        " () => done('refused'))"
    )
    assert page.driver.execute_async_script(out) == "refused"
    told = " ".join(entry["message"] for entry in page.driver.get_log("browser"))
    assert "Content Security Policy" in told
    assert page.driver.execute_script("return typeof owned") == "undefined"


def test_token_goes_to_this_service_in_its_header_only_and_is_kept_nowhere(page):
    page.driver.get_log("performance")
    enter(page)
    shows(page, "compute-007")
    visit(page, "#/hosts/edge-01")
    shows(page, "What to do")
    requests = [one for one in asked_for(page.driver) if not one["url"].startswith("about:")]
    assert {one["url"].startswith(f"{page.url}/") for one in requests} == {True}
    assert {one["method"] for one in requests} == {"GET"}
    sent = [one for one in requests if "/v1/" in one["url"]]
    assert sent
    assert {one["headers"].get("X-Auth-Token") for one in sent} == {"administrator"}
    for one in requests:
        assert "administrator" not in one["url"]
    kept = (
        "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie,"
        " location.href, document.getElementById('token').value])"
    )
    assert "administrator" not in page.driver.execute_script(kept)
    page.driver.refresh()
    until(page, lambda d: d.find_element(By.ID, "token").is_displayed())
    assert text_of(page) == ""


@pytest.mark.parametrize(
    ("token", "word"),
    [("nobody", "does not confirm"), ("tenant", "policy does not allow"), ("a b", "no keystone")],
)
def test_who_may_not_read_is_told_why_and_sees_nothing(page, token, word):
    enter(page, token)
    shows(page, word, place="token-error")
    assert text_of(page) == text_of(page, "fleet") == ""


def test_page_says_so_when_what_it_shows_is_not_the_present(page):
    enter(page)
    shows(page, "compute-007")
    blocked = {"urls": [f"{page.url}/v1/*"]}
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", blocked)
    try:
        page.driver.execute_script(
            "document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))"
        )
        shows(page, "Not up to date", place="alarm")
        assert "stale" in page.driver.find_element(By.TAG_NAME, "body").get_attribute("class")
    finally:
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    page.driver.execute_script(
        "document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))"
    )
    until(page, lambda d: not d.find_element(By.ID, "alarm").is_displayed())


def test_page_fits_a_phone(page):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        for where in (RED, "#/hosts/edge-01", "#/events"):
            enter(page, where=where)
            shows(page, "edge-01")
            wide = "return document.documentElement.scrollWidth"
            assert page.driver.execute_script(wide) <= 360
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
