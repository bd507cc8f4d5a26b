# SPDX-License-Identifier: Apache-2.0
"""The first line of `attestation host show` answers "why"; the list says who fell silent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from e2etrust_client.model import HostState
from e2etrust_client.osc.v1 import host
from e2etrust_client.osc.v1.host import _shown, why
from e2etrust_core.appraisal.model import CheckResult

_PASS = CheckResult("clock", "pass", "the clock went on")
_FAIL = CheckResult("pcr-policy", "fail", "sha256:4 is not accepted", "PCR_MISMATCH", "reboot it")


def test_failed_check_comes_first_with_what_to_do():
    line = why(HostState("h", "untrusted", checks=[_PASS, _FAIL]))
    assert line == "PCR_MISMATCH: sha256:4 is not accepted. Next: reboot it"


@pytest.mark.parametrize(
    ("state", "attested", "word"),
    [
        ("trusted", "2026-01-01", "1 checks passed"),
        ("held", "2026-01-01", "approve"),
        ("unknown", "2026-01-01", "since 2026-01-01: the lease ran out"),
        ("unknown", None, "never attested"),
    ],
)
def test_state_without_a_failed_check_is_explained(state, attested, word):
    assert word in why(HostState("h", state, checks=[_PASS], last_attested=attested))


def test_held_host_says_both_what_failed_and_that_it_waits_for_somebody():
    line = why(HostState("h", "held", checks=[_PASS, _FAIL]))
    assert line.startswith("PCR_MISMATCH: sha256:4 is not accepted. Next: reboot it")
    assert line.endswith("openstack attestation host approve h")


def test_level_of_the_lease_is_shown():
    columns, values = _shown(HostState("h", "trusted", level=3))
    assert dict(zip(columns, values, strict=True))["level"] == 3


def test_list_shows_when_each_host_attested_last(monkeypatch):
    known = HostState("h", "unknown", since="2026-01-02", last_attested="2026-01-01")
    client = SimpleNamespace(hosts=lambda *_, **__: [known])
    monkeypatch.setattr(host, "client_of", lambda _manager: client)
    command = host.ListHost(SimpleNamespace(client_manager=None), None)
    asked = command.get_parser("list").parse_args([])
    columns, rows = command.take_action(asked)
    (row,) = (dict(zip(columns, one, strict=True)) for one in rows)
    assert row["Last attested"] == "2026-01-01"
