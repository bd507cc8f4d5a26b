# SPDX-License-Identifier: Apache-2.0
"""When an agent comes again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from e2etrust_agent.backoff import Backoff, busy
from e2etrust_agent.errors import VerifierDownError
from e2etrust_core import messages
from e2etrust_verifier.trust.errors import NonceUnknown, VerifierBusy


def spread(*arguments: float) -> tuple[float, float]:
    drawn = [busy(*arguments) for _ in range(2000)]
    return min(drawn), max(drawn)


@pytest.mark.parametrize(("refusals", "window"), [(1, 2.0), (2, 4.0), (4, 16.0), (50, 64.0)])
def test_never_sooner_than_told_and_in_a_window_that_doubles(refusals, window):
    low, high = spread(2.0, refusals, 0.0)
    assert 2.0 <= low < 2.0 + 0.1 * window
    assert 2.0 + 0.9 * window < high <= 2.0 + window


def test_host_with_a_lease_comes_before_a_third_of_it_is_over():
    low, high = spread(2.0, 5, 30.0)
    assert low >= 2.0
    assert high <= 10.0
    assert spread(2.0, 5, 3.0) == (2.0, 2.0)


@pytest.mark.parametrize(("told", "least"), [(1e9, 60.0), (-5.0, 0.0)])
def test_word_out_of_reason_counts_up_to_a_limit(told, least):
    assert spread(told, 1, 0.1) == (least, least)


def failed(problem: Exception) -> SimpleNamespace:
    outcome = SimpleNamespace(exception=lambda: problem)
    return SimpleNamespace(outcome=outcome, attempt_number=1)


def refusal(exc: Exception) -> Exception:
    with pytest.raises(messages.RemoteRefusal) as caught:
        messages.read_reply(messages.Nothing, messages.reply_error(exc))
    return caught.value


def test_busy_verifiers_word_crosses_the_wire_and_counts():
    problem = refusal(VerifierBusy(7.0))
    assert (problem.code, problem.retry_after) == ("BUSY", 7.0)
    assert Backoff(0.1, 1.0).seconds(failed(problem), 0.0) >= 7.0


@pytest.mark.parametrize("problem", [VerifierDownError("none"), refusal(NonceUnknown("used"))])
def test_other_failures_wait_as_configured(problem):
    assert Backoff(0.1, 1.0).seconds(failed(problem), 0.0) <= 1.0
