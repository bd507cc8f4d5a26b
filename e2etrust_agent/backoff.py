# SPDX-License-Identifier: Apache-2.0
"""How long to wait before trying again, so that many hosts do not come again together."""

from __future__ import annotations

import random

from tenacity import RetryCallState, wait_exponential_jitter

from e2etrust_core import messages

#: A busy verifier's word counts up to so many seconds.
_LONGEST = 60.0
#: The window doubles with each refusal, so often.
_DOUBLINGS = 5


class Backoff:
    """Seconds to wait: by the verifier's word where it is busy, else longer with each failure."""

    def __init__(self, first: float, longest: float) -> None:
        self._failing = wait_exponential_jitter(initial=first, max=longest, jitter=first)

    def seconds(self, state: RetryCallState, lease_left: float) -> float:
        """Return how long to wait after the failure in *state*.

        :param lease_left: seconds of lease that the host still holds.
        """
        problem = state.outcome.exception() if state.outcome is not None else None
        if isinstance(problem, messages.RemoteRefusal) and problem.retry_after is not None:
            return busy(problem.retry_after, state.attempt_number, lease_left)
        return self._failing(state)


def busy(retry_after: float, refusals: int, lease_left: float) -> float:
    """Return seconds to wait for a busy verifier: not less than it says, and with full jitter.

    The window in which hosts come again doubles with each refusal in a row.  A host that still
    holds a lease comes before a third of what is left of it is over, if the verifier's word allows.
    """
    least = min(max(retry_after, 0.0), _LONGEST)
    window = least * 2 ** min(refusals - 1, _DOUBLINGS)
    if lease_left > 0:
        window = min(window, max(0.0, lease_left / 3 - least))
    return least + random.uniform(0, window)  # noqa: S311 - jitter
