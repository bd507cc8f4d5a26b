# SPDX-License-Identifier: Apache-2.0
"""Events hold what hosts say: it must not become lines of a log, nor break the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from e2etrust_verifier.db import events

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "words", ["vm\nevent host-trusted host=host9", "\x1b[2J", "\ud800", "x" * 300]
)
def test_cve_2022_23949_a_hosts_word_for_a_server_makes_no_line_of_its_own(database, caplog, words):
    database.write(
        lambda s: events.add(s, "unrecorded-domain", words, now=NOW, host="host1", instance=words)
    )
    assert len(caplog.messages) == 1
    assert caplog.messages[0].isprintable()
    (kept,) = database.read(lambda s: events.newest(s, 10))
    assert kept.instance.isprintable()
    assert len(kept.instance) <= 64


@pytest.mark.parametrize(
    ("kind", "level"),
    [("host-trusted", "INFO"), ("launch-refused", "WARNING"), ("host-failed", "ERROR")],
)
def test_log_says_how_urgent_an_event_is_as_notifications_do(database, caplog, kind, level):
    caplog.set_level("INFO")
    database.write(lambda s: events.add(s, kind, "words", now=NOW, host="host1"))
    assert [one.levelname for one in caplog.records if "event" in one.message] == [level]


def test_what_a_void_transaction_did_is_in_no_log(database, caplog):
    def work(session, *, fails: bool) -> None:
        events.add(session, "host-failed", "words", now=NOW, host="host1")
        if fails:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        database.write(lambda s: work(s, fails=True))
    assert not caplog.messages
    database.write(lambda s: work(s, fails=False))
    assert caplog.messages == ["event host-failed host=host1 server=None: words"]


def test_nonsense_in_a_hosts_name_is_told_once_in_a_while(database):
    def told(host: str, message: str, seconds: int) -> None:
        now = NOW + timedelta(seconds=seconds)
        database.write(
            lambda s: events.add_refused(s, "evidence-refused", message, now=now, host=host)
        )

    for seconds in (0, 1, 59, 61):
        told("host1", "NONCE_UNKNOWN: old\nnews", seconds)
    told("host1", "AK_FOREIGN: another's", 1)
    told("host2", "NONCE_UNKNOWN: old\nnews", 1)
    told("host1", "AK_FOREIGN: another's", -1)  # by a clock that was set back
    kept = database.read(lambda s: [(e.host, e.message[:5]) for e in events.newest(s, 10)])
    assert sorted(kept) == [
        ("host1", "AK_FO"),
        ("host1", "AK_FO"),
        ("host1", "NONCE"),
        ("host1", "NONCE"),
        ("host2", "NONCE"),
    ]


def test_ever_other_nonsense_in_a_hosts_name_is_told_as_a_whole(database):
    def told(host: str, number: int, seconds: int) -> None:
        now, refused = NOW + timedelta(seconds=seconds), f"refused {number}"
        key = f"{number:064x}"
        database.write(
            lambda s: events.add_refused(
                s, "enrolment-refused", refused, now=now, host=host, codes=("A",), ek_sha256=key
            )
        )

    for number in range(40):
        told("host1", number, 0)
    told("host2", 40, 0)
    kept = database.read(lambda s: [(e.host, e.message) for e in events.newest(s, 99)])
    assert kept[:2] == [
        ("host2", "refused 40"),
        ("host1", "more than 16 refusals within a minute: the others are not told"),
    ]
    assert len(kept) == events.TOLD_AT_ONCE + 2
    told("host1", 41, 61)
    keys = database.read(lambda s: events.keys_refused(s, ["host1"]))
    assert [int(key, 16) for key in keys["host1"]] == [41, *range(15, 0, -1)]
