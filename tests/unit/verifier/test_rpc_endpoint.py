# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from oslo_db.exception import DBConnectionError, DBDeadlock

from e2etrust_verifier.rpc.endpoint import VerifierEndpoint
from e2etrust_verifier.trust import leases

METHODS = [
    "enrol_begin",
    "enrol_finish",
    "challenge",
    "attest",
    "launch",
    "launch_update",
    "report_refusal",
    "lease_delta",
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "junk",
    [None, 7, "x", [], {}, {"host": 1}, {"nonce": "%%"}, "\ud800", {"since": "\ud800"}],
)
def test_junk_is_refused_as_malformed_and_touches_nothing(method, junk):
    """Without surroundings any use of them would be an INTERNAL error."""
    answer = getattr(VerifierEndpoint(None), method)({}, request=junk)
    assert answer["error"]["code"] == "INPUT_MALFORMED"


def test_unforeseen_error_is_a_number_in_the_answer_and_a_trace_in_the_log(caplog):
    answer = VerifierEndpoint(None).lease_delta({}, request={"since": 0})
    assert answer["error"]["code"] == "INTERNAL"
    number = answer["error"]["reason"].split()[-1]
    assert number in caplog.text
    assert "AttributeError" in caplog.text
    assert "AttributeError" not in str(answer)


@pytest.mark.parametrize(
    ("error", "code"), [(DBConnectionError, "DATABASE_DOWN"), (DBDeadlock, "BUSY")]
)
def test_database_that_cannot_is_told_by_name_and_without_its_address(monkeypatch, error, code):
    def away(*_args):
        raise error(OSError("mysql.example.com refused"))

    monkeypatch.setattr(leases, "delta", away)
    answer = VerifierEndpoint(None).lease_delta({}, request={"since": 0})
    assert answer["error"]["code"] == code
    assert "example" not in str(answer)
