# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium, driven by Selenium; it reaches this machine and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

_FLAGS = (
    "--headless",
    "--no-sandbox",  # as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--hide-scrollbars",
    "--window-size=1200,900",
)


@contextmanager
def browser(directory: Path) -> Iterator[WebDriver]:
    """Start a browser with a new profile in *directory*; it notes what it asks for."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "chromium is not there: apt install chromium"
    assert driver, "chromedriver is not there: apt install chromium-driver"
    options = Options()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={directory}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield started
    finally:
        started.quit()


def asked_for(one: WebDriver) -> list[dict[str, Any]]:
    """Return the requests since the last call, as DevTools tells them (Network.Request)."""
    told = [json.loads(entry["message"])["message"] for entry in one.get_log("performance")]
    return [m["params"]["request"] for m in told if m["method"] == "Network.requestWillBeSent"]
