# SPDX-License-Identifier: Apache-2.0
"""The database's server dies, or becomes a replica: all or nothing, and on again without hands."""

from __future__ import annotations

import socket

import pymysql
import pytest
import sqlalchemy as sa

from e2etrust_verifier.db import hosts
from e2etrust_verifier.db.models import Lease
from tests.functional.verifier.host import refused
from tests.functional.verifier.test_group_commit import (  # noqa: F401 - fixture
    changes,
    send_together,
    three,
)

MARIADB = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
#: What makes a session of a server of each kind refuse to write, as one that became a replica.
READ_ONLY = {
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
}
LOST = pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")
#: Galera's words of a transaction that another node's was faster than, and of one whose node was
#: cut off from the others.
VOID = {
    "conflict": pymysql.err.OperationalError(1213, "Deadlock: wsrep aborted transaction"),
    "cut off": pymysql.err.OperationalError(
        1180, "Error while appending streaming replication fragment(provider status: Not connected"
    ),
}


def at_the_commit(laboratory, monkeypatch, happens):
    """Have *happens*, given DBAPI's connection, happen in place of the next commit."""
    dialect = laboratory.around.db.engine.dialect

    def commit(connection) -> None:
        monkeypatch.undo()
        happens(connection.dbapi_connection)

    monkeypatch.setattr(dialect, "do_commit", commit)


def open_leases(laboratory) -> dict[str, str]:
    """Return host -> lease by what its state says; each is the only one of its host that runs."""

    def read(session):
        running = session.execute(sa.select(Lease.host, Lease.id).where(Lease.ended_at.is_(None)))
        rows = sorted(tuple(row) for row in running)
        states = hosts.states(session).values()
        assert rows == sorted((s.host, s.lease_id) for s in states if s.lease_id is not None)
        return dict(rows)

    return laboratory.around.db.read(read)


@MARIADB
@pytest.mark.parametrize("how", ["void", "written", *VOID])
def test_answers_in_whose_commit_the_server_dies_are_whole_or_void(
    laboratory,
    three,  # noqa: F811
    mariadb,
    monkeypatch,
    how,
):
    mariadb.keep_every_commit()
    died = []

    def dies(connection) -> None:
        died.append(how)
        if how == "written":
            connection.commit()
        if how in VOID:
            connection.rollback()
            raise VOID[how]
        mariadb.kill()
        mariadb.start()
        raise LOST

    answers = [(h, h.answer(h.challenge())) for h in three]
    at_the_commit(laboratory, monkeypatch, dies)
    told = send_together(laboratory, answers)
    leases = open_leases(laboratory)
    assert died == [how]
    assert len(changes(laboratory)) == 1
    if how == "written":
        # Nobody could know that it was, and no nonce is good twice.
        for one in told:
            with refused("NONCE_UNKNOWN"):
                one.result()
    else:
        assert leases == {h.name: t.result().lease.id for h, t in zip(three, told, strict=True)}
    assert leases.keys() == {"host1", "host2", "host3"}
    for host in three:
        assert host.attest().trusted
    assert not set(open_leases(laboratory).values()) & set(leases.values())


@MARIADB
def test_server_that_became_a_replica_is_left(laboratory, three, mariadb):  # noqa: F811
    host, connected = three[0], []
    answer = host.answer(host.challenge())
    engine = laboratory.around.db.engine
    sa.event.listen(engine, "connect", lambda *_: connected.append("anew"))
    mariadb.set("read_only", 1)
    try:
        with refused("DATABASE_DOWN"):
            host.send(answer)
        assert len(connected) > 1  # each try goes to whatever took its place
    finally:
        mariadb.set("read_only", 0)
    assert host.send(answer).trusted


@pytest.mark.parametrize("database_url", READ_ONLY, indirect=True)
def test_answer_that_meets_a_replica_counts_where_another_server_writes(laboratory, host, request):
    answer, engine = host.answer(host.challenge()), laboratory.around.db.engine
    pooled = [engine.connect() for _ in range(engine.pool.checkedin())]
    assert pooled
    for connection in pooled:
        connection.exec_driver_sql(READ_ONLY[request.node.callspec.params["database_url"]])
        connection.commit()
        connection.close()
    assert host.send(answer).trusted


@MARIADB
def test_server_whose_machine_is_gone_without_a_word_is_noticed(laboratory):
    with laboratory.around.db.engine.connect() as connection:
        descriptor = connection.connection.dbapi_connection._sock.fileno()
        with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as shared:
            idle, every, probes = (
                shared.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert shared.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            unheard = shared.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert idle + every * probes == unheard / 1000 <= 30
