# SPDX-License-Identifier: Apache-2.0
"""Known holes of attestation software, tried on us; doc/source/contributor lists all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from e2etrust_core.evidence.model import MAX_EVENT_LOG
from e2etrust_verifier.db import leases
from e2etrust_verifier.db.models import HostState
from e2etrust_verifier.trust import operator
from e2etrust_verifier.trust.surroundings import utc_now
from tests.functional.verifier.host import refused
from tests.unit.core.event_log_writer import agile_log


@pytest.fixture
def pair(laboratory):
    """Two hosts with TPMs of their own that satisfy the policy."""
    hosts = laboratory.host("host1"), laboratory.host("host2", laboratory.tpms())
    for host in hosts:
        host.enrol()
    return hosts


@pytest.mark.parametrize("row", ["", "null", "[1]", '{"checks": []}', '[{"check": 5}]'])
def test_cve_2025_1057_one_unreadable_row_takes_down_its_own_host_only(laboratory, pair, row):
    for host in pair:
        assert host.attest().trusted
    odd = sa.update(HostState).where(HostState.host == "host2").values(failed=row)
    laboratory.around.db.write(lambda s: s.execute(odd))
    told = {one.host: one for one in pair[0].delta().hosts}
    assert told["host1"].seconds > 50
    assert told["host2"].seconds == 0
    assert [check.code for check in told["host2"].failed] == ["ROW_UNREADABLE"]
    leased = laboratory.around.db.read(lambda s: leases.levels(s, utc_now()))
    assert set(leased) == {"host1"}
    with refused("LEASE_NONE"):
        pair[1].launch()
    assert pair[1].attest().trusted
    assert {one.host for one in pair[0].delta().hosts if one.seconds > 50} == {"host1", "host2"}


def test_cve_2022_1053_keys_changed_between_check_and_verdict_void_trust(laboratory):
    host = laboratory.host()
    host.enrol()
    assert host.attest().trusted
    answer = host.answer(host.challenge())
    operator.remove(laboratory.around.db, "host1", utc_now())
    intruder = laboratory.host("host1", laboratory.tpms())
    intruder.enrol()
    with refused("AK_FOREIGN"):
        host.send(answer)
    assert [one.seconds for one in host.delta().hosts if one.host == "host1"] == [0.0]


def test_cve_2022_23951_evidence_beyond_its_limit_fails_its_host_and_no_other(laboratory, pair):
    laboratory.policy(event_log_pcrs=[9])

    def attest(host, log):
        answer = host.answer(host.challenge())
        return host.send(replace(answer, evidence=replace(answer.evidence, event_log=log)))

    swollen = attest(pair[0], agile_log() + bytes(MAX_EVENT_LOG))
    assert {c.code for c in swollen.checks if c.outcome == "fail"} == {"EVENT_LOG_MALFORMED"}
    assert swollen.lease is None
    assert attest(pair[1], agile_log()).trusted
