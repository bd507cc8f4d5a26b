# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from unittest import mock

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db import galera


@pytest.mark.parametrize(
    ("variables", "waits"),
    [
        ({"wsrep_on": "ON", "wsrep_sync_wait": "0"}, True),
        ({"wsrep_on": "ON", "wsrep_sync_wait": "6"}, True),  # only what writes would wait
        ({"wsrep_on": "ON", "wsrep_sync_wait": "7"}, False),  # the server has it already
        ({"wsrep_on": "OFF", "wsrep_sync_wait": "0"}, False),  # MariaDB by itself
        ({}, False),  # MySQL
    ],
)
def test_connection_to_a_node_that_would_not_wait_for_the_others_does(variables, waits):
    cursor = mock.MagicMock()
    cursor.__enter__.return_value = cursor
    cursor.fetchall.return_value = tuple(variables.items())
    connection = mock.MagicMock(**{"cursor.return_value": cursor})
    galera.wait_for_others(connection, None)
    wanted = int(variables.get("wsrep_sync_wait", 0)) | 1
    sets = mock.call(f"SET SESSION wsrep_sync_wait = {wanted}")
    assert (sets in cursor.execute.mock_calls) is waits


@pytest.mark.parametrize(
    ("variables", "old"),
    [
        ({"wsrep_on": "ON", "wsrep_sync_wait": "0"}, True),
        ({"wsrep_on": "ON", "wsrep_sync_wait": "6"}, True),  # what writes waits, reads do not
        ({"wsrep_on": "ON", "wsrep_sync_wait": "1"}, False),
        ({"wsrep_on": "OFF", "wsrep_sync_wait": "0"}, False),
        ({}, False),
    ],
)
def test_session_that_reads_what_is_old_is_known(variables, old):
    session = mock.MagicMock()
    session.get_bind.return_value.dialect.name = "mysql"
    session.execute.return_value.all.return_value = list(variables.items())
    assert galera.reads_what_is_old(session) is old


def test_database_without_nodes_is_not_asked():
    with Session(sa.create_engine("sqlite://")) as session:
        assert not galera.reads_what_is_old(session)
