# SPDX-License-Identifier: Apache-2.0
"""What happens to a host between two steps of its attestation must count at the end of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
import sqlalchemy as sa

from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_verifier.db import hosts
from e2etrust_verifier.trust import appraisal, operator
from e2etrust_verifier.trust.surroundings import utc_now
from tests.functional.verifier.host import refused
from tests.functional.verifier.key_manager import GRANTED


@pytest.fixture
def host(host):
    assert host.attest().trusted
    return host


def leased(host) -> bool:
    return any(one.seconds > 0 for one in host.delta().hosts if one.host == host.name)


def meanwhile(
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[], object],
    after: tuple[ModuleType, str] = (appraisal, "appraise_host"),
) -> None:
    """Have *happens* happen once, by default between the look at evidence and its verdict."""
    look, left = getattr(*after), [happens]

    def looked(*args, **kwargs):
        found = look(*args, **kwargs)
        if left:
            left.pop()()
        return found

    monkeypatch.setattr(*after, looked)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_evidence_from_before_the_failure_is_no_good_after_an_approval(laboratory, host):
    """It is of the time before an operator looked: what he approved is not what it tells of."""
    laboratory.policy(recovery="operator")
    old = host.answer(host.challenge())
    extend_pcr(host.tpm, 9, {"sha256": b"\x66" * 32})
    assert not host.attest().trusted
    operator.approve(laboratory.around.db, "host1", utc_now())
    with refused("EVIDENCE_STALE"):
        host.send(old)
    assert not leased(host)


def test_evidence_from_before_a_revocation_is_no_good_after_the_approval(laboratory, host):
    old = host.answer(host.challenge())
    operator.revoke(laboratory.around.db, "host1", utc_now())
    operator.approve(laboratory.around.db, "host1", utc_now())
    with refused("EVIDENCE_STALE"):
        host.send(old)
    assert not leased(host)
    assert host.attest().trusted


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_host_that_is_removed_while_it_is_appraised_gets_no_lease(laboratory, host, monkeypatch):
    answer = host.answer(host.challenge())
    meanwhile(monkeypatch, lambda: operator.remove(laboratory.around.db, "host1", utc_now()))
    with refused("EVIDENCE_STALE"):
        host.send(answer)
    assert not leased(host)


def test_cve_2022_1053_answer_of_the_tpm_before_gives_the_new_one_no_lease(
    laboratory, host, monkeypatch
):
    """Its keys were looked at before they were changed, and its verdict is written after."""
    other = laboratory.host("host1", laboratory.tpms())
    answer = host.answer(host.challenge())

    def replaced():
        operator.remove(laboratory.around.db, "host1", utc_now())
        other.enrol()

    meanwhile(monkeypatch, replaced)
    with refused("EVIDENCE_STALE"):
        host.send(answer)
    assert not leased(host)
    assert other.attest().trusted


def test_launch_of_the_tpm_before_is_not_granted_under_the_lease_of_the_new_one(laboratory, host):
    """The key was wrapped to a TPM that is not the host's any more."""
    other = laboratory.host("host1", laboratory.tpms())
    fetched = laboratory.around.keys

    class Slow:
        def image_key(self, key_id: str, project: str | None) -> bytes:
            operator.remove(laboratory.around.db, "host1", utc_now())
            other.enrol()
            assert other.attest().trusted
            return fetched.image_key(key_id, project)

    laboratory.endpoint._around = replace(laboratory.around, keys=Slow())
    with refused("EVIDENCE_STALE"):
        host.launch(key_id=GRANTED)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_new_tpm_under_a_name_begins_with_nothing_that_was_known_of_the_old_one(laboratory, host):
    def spoil(session):
        hosts.state(session, "host1").ima = '{"policy":"x","reset_count":1,"offset":9}'

    laboratory.around.db.write(spoil)
    operator.remove(laboratory.around.db, "host1", utc_now())
    laboratory.host("host1", laboratory.tpms()).enrol()
    state = laboratory.around.db.read(lambda s: hosts.state(s, "host1"))
    assert (state.ima, state.clock, state.lease_id, state.said) == (None, None, None, None)


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_change_of_what_changed_since_it_was_read_is_made_on_the_next_try(
    laboratory, host, monkeypatch
):
    """MariaDB's error 1020: innodb_snapshot_isolation, which is ON by itself from 11.6 on."""
    refusals = []
    sa.event.listen(
        laboratory.around.db.engine,
        "handle_error",
        lambda context: refusals.append(context.original_exception.args[0]),
    )
    meanwhile(monkeypatch, host.attest, after=(operator, "_find"))
    operator.revoke(laboratory.around.db, "host1", utc_now())
    assert refusals == [1020]
    assert not leased(host)
