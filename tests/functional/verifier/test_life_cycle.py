# SPDX-License-Identifier: Apache-2.0
"""What happens to hosts and workers in the course of their lives, as the verifier sees it."""

from __future__ import annotations

import signal
import threading

import oslo_messaging
import pytest
import sqlalchemy as sa
from tpm2_pytss import TPM2_SU

from e2etrust_core.messages import RemoteRefusal
from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_verifier.db import hosts
from e2etrust_verifier.trust import operator
from e2etrust_verifier.trust.surroundings import utc_now
from tests.functional.verifier.host import refused
from tests.functional.verifier.test_ima_policy import codes, measured  # noqa: F401 - fixture
from tests.functional.verifier.test_service import (  # noqa: F401 - fixtures
    attest_in_the_end,
    call,
    enrolled,
    service,
)

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MARIADB = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)


def counters(laboratory) -> tuple[int, int]:
    state = laboratory.around.db.read(lambda s: hosts.state(s, "host1"))
    return state.reset_count, state.clock


@SQLITE
def test_reboot_is_seen_in_the_counters_and_keeps_the_host_trusted(laboratory):
    host = laboratory.host()
    host.enrol()
    assert host.attest().trusted
    before = counters(laboratory)
    late = host.answer(host.challenge())
    laboratory.first.power_cycle()
    assert host.attest().trusted
    assert counters(laboratory)[0] > before[0]
    after = counters(laboratory)
    with refused("EVIDENCE_STALE"):
        host.send(late)  # what the host was before it booted says nothing of what it is
    assert counters(laboratory) == after
    assert host.delta().hosts[0].seconds > 0


@SQLITE
@pytest.mark.parametrize("start", ["state", "clear"], ids=["suspended", "hibernated"])
def test_machine_that_slept_is_seen_in_the_counters_and_is_what_it_measured_before(
    laboratory, start
):
    """TPM Resume keeps the PCRs, TPM Restart does not; both count as a restart (Part 1, 36)."""
    host, kernel = laboratory.host(), {"sha256": b"\1" * 32}
    extend_pcr(host.tpm, 9, kernel)
    laboratory.policy()
    host.enrol()
    assert host.attest().trusted
    before = laboratory.around.db.read(lambda s: hosts.state(s, "host1"))
    late = host.answer(host.challenge())
    with host.tpm.connected() as esys:
        esys.shutdown(TPM2_SU.STATE)
    laboratory.first.power_off()
    laboratory.first.power_on(f"not-need-init,startup-{start}")
    if start == "clear":
        assert not host.attest().trusted
        extend_pcr(host.tpm, 9, kernel)
    assert host.attest().trusted
    after = laboratory.around.db.read(lambda s: hosts.state(s, "host1"))
    assert after.reset_count == before.reset_count
    assert after.restart_count == before.restart_count + 1
    with refused("EVIDENCE_STALE"):
        host.send(late)


@SQLITE
def test_lost_attestation_key_is_replaced_by_the_operators_act_only(laboratory):
    host = laboratory.host()
    host.enrol()
    assert host.attest().trusted
    again = laboratory.host("host1", laboratory.first)  # the same EK, an AK of its own
    assert again.ek.public == host.ek.public
    with refused("HOST_KNOWN"):
        again.enrol()
    with refused("AK_FOREIGN"):
        again.attest()
    assert host.attest().trusted
    operator.remove(laboratory.around.db, "host1", utc_now())
    again.enrol()
    assert again.attest().trusted
    with refused("AK_FOREIGN"):
        host.attest()


@SQLITE
def test_renamed_host_is_another_host_and_the_old_name_runs_out(laboratory):
    host = laboratory.host()
    host.enrol()
    assert host.attest().trusted
    host.name = "host9"
    with refused("HOST_UNKNOWN"):
        host.challenge()
    laboratory.later(61)
    assert [one.seconds for one in host.delta().hosts if one.host == "host1"] == [0.0]


@SQLITE
def test_schedulers_miss_no_change_when_a_backup_of_the_database_is_restored(laboratory):
    path, host = laboratory.directory / "verifier.sqlite", laboratory.host()
    host.enrol()
    laboratory.policy(version=1)
    assert host.attest().trusted
    laboratory.around.db.dispose()
    backup = path.read_bytes()
    laboratory.policy(version=2)
    for _ in range(5):
        assert host.attest().trusted
    known = host.delta().generation
    laboratory.around.db.dispose()
    path.write_bytes(backup)
    assert host.delta(known).full  # nothing has changed yet
    extend_pcr(host.tpm, 9, {"sha256": b"\1" * 32})
    assert not host.attest().trusted
    told = host.delta(known)
    assert not told.full
    assert [(one.host, one.seconds) for one in told.hosts] == [("host1", 0.0)]
    # And the newer version of the policy counts again, once it was asked for.
    laboratory.policy(version=1)
    with refused("POLICY_ROLLED_BACK"):
        host.challenge()


@SQLITE
@pytest.mark.parametrize("how", ["emptied", "cut", "rewritten"])
def test_ima_list_that_lost_what_was_seen_ends_trust(measured, how):  # noqa: F811
    measured.run("/usr/bin/ls", b"ls")
    assert measured.attest().trusted
    whole = measured.list.read_bytes()
    measured.run("/usr/bin/qemu", b"qemu")
    if how == "emptied":
        measured.list.write_bytes(b"")
    elif how == "cut":
        measured.list.write_bytes(whole[: len(whole) // 2])
    else:
        measured.list.write_bytes(whole + whole[-len(whole) // 3 :])
    result = measured.attest()
    assert not result.trusted
    assert codes(result) & {"IMA_LIST_MISMATCH", "IMA_LIST_MALFORMED"}


@MARIADB
def test_worker_killed_between_challenge_and_answer_is_replaced_by_another(service, call):  # noqa: F811
    made, tpm = service
    first = made.start()
    host = enrolled(tpm, call)
    answer = host.answer(host.challenge())
    first.send_signal(signal.SIGKILL)
    first.wait()
    made.start()
    assert host.send(answer).trusted
    with refused("NONCE_UNKNOWN"):
        host.send(answer)


@MARIADB
def test_database_killed_under_load_costs_no_worker_and_no_trust(service, call, mariadb):  # noqa: F811
    made, tpm = service
    process = made.start()
    mariadb.keep_every_commit()
    host = enrolled(tpm, call)
    lease = host.attest().lease
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                call("challenge", {"host": "host1", "purpose": "attest"})
            except oslo_messaging.MessagingTimeout:
                pass

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        mariadb.kill()
        mariadb.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    result = attest_in_the_end(host)
    assert result.trusted
    assert result.lease.id != lease.id
    assert process.poll() is None


@MARIADB
def test_broker_that_stands_still_is_waited_for(service, call, rabbitmq):  # noqa: F811
    made, tpm = service
    process = made.start()
    host = enrolled(tpm, call)
    assert host.attest().trusted
    outcomes: list[object] = []

    def attest() -> None:
        try:
            outcomes.append(host.attest().trusted)
        except (RemoteRefusal, oslo_messaging.MessagingTimeout) as exc:
            outcomes.append(exc)

    rabbitmq.signal(signal.SIGSTOP)
    try:
        waiting = threading.Thread(target=attest)
        waiting.start()
        waiting.join(timeout=3)
        assert outcomes == []
    finally:
        rabbitmq.signal(signal.SIGCONT)
    waiting.join(timeout=60)
    assert outcomes
    assert attest_in_the_end(host).trusted
    assert process.poll() is None


@MARIADB
def test_running_worker_goes_on_when_the_schema_grows_and_a_new_one_waits(service, call):  # noqa: F811
    """As while the next release's `db sync` has run: migrations only add."""
    made, tpm = service
    process = made.start()
    host = enrolled(tpm, call)
    assert host.attest().trusted
    url = made.conf.read_text().split("connection = ")[1].split("\n")[0]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE host_states ADD COLUMN later VARCHAR(9) NULL"))
        connection.execute(sa.text("CREATE TABLE later (id INTEGER PRIMARY KEY)"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    assert host.attest().trusted
    assert host.launch().launch
    assert process.poll() is None
    with pytest.raises(AssertionError, match="SCHEMA_NEWER"):
        made.start()
