# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from unittest import mock

import pytest

from e2etrust_verifier.db import galera

WAITS = mock.call("SET SESSION wsrep_sync_wait = 1")


@pytest.mark.parametrize(
    ("variables", "waits"),
    [
        ({"wsrep_on": "ON", "wsrep_sync_wait": "0"}, True),
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
    assert (WAITS in cursor.execute.mock_calls) is waits
