# SPDX-License-Identifier: Apache-2.0
"""Windows for updates on a real TPM, by the verifier's clock."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from e2etrust_core.messages import RemoteRefusal


@pytest.fixture
def host(laboratory):
    """A host whose PCR 7 is good for a hundred seconds more."""
    path = laboratory.directory / "policy.d/compute.yaml"
    until = (laboratory.around.now() + timedelta(seconds=100)).isoformat()
    window = rf"7: ['{'00' * 31}ff', {{accept: '\1', until: '{until}'}}]"
    path.write_text(re.sub(r"7: \['([0-9a-f]+)'\]", window, path.read_text()))
    enrolled = laboratory.host()
    enrolled.enrol()
    return enrolled


def test_lease_ends_with_the_window_and_the_host_is_told_why(laboratory, host):
    assert host.attest().lease.seconds == 60
    laboratory.later(70)
    last = host.attest()
    assert last.trusted
    assert 20 < last.lease.seconds < 31
    laboratory.later(31)
    result = host.attest()
    assert not result.trusted
    assert [(c.check, c.code) for c in result.checks if c.outcome == "fail"] == [
        ("pcr-policy", "WINDOW_CLOSED")
    ]


def test_answer_from_before_the_moment_counts_for_nothing_after_it(laboratory, host):
    laboratory.later(95)
    answer = host.answer(host.challenge())
    laboratory.later(10)
    with pytest.raises(RemoteRefusal, match="EVIDENCE_STALE"):
        host.send(answer)
