# SPDX-License-Identifier: Apache-2.0
"""What a destination is to those who deliver."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.notify.notice import Notice, Priority


class DeliveryFailed(E2ETrustError):
    """A notification did not reach its destination."""

    code = "DELIVERY_FAILED"
    remedy = "look at that destination; it is tried again as [webhook] says"


class DeliveryRefused(DeliveryFailed):
    """The destination wants no more of it: trying again is of no use."""

    code = "DELIVERY_REFUSED"
    remedy = "take the destination out of [webhook] urls, or mend it"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a destination is tried.  ``attempts`` None: until the outbox drops it."""

    attempts: int | None
    first_pause: float
    longest_pause: float

    def pause(self, attempts: int, draw: float | None = None) -> float:
        """Return the seconds before the next try after *attempts* failed ones (1 or more).

        They double each time, up to the longest; the later half of it is at random (*draw*, 0 to
        1), so that what failed together is not tried together.
        """
        longest = min(self.longest_pause, self.first_pause * 2.0 ** min(attempts - 1, 60))
        drawn = random.random() if draw is None else draw  # noqa: S311 - jitter
        return longest * (0.5 + 0.5 * drawn)


class Destination(Protocol):
    """``name`` fits a column and shows no secret; ``timeout`` is the most that one try takes."""

    name: str
    unwanted: frozenset[str]
    patience: Patience
    timeout: float

    def deliver(self, notice: Notice, priority: Priority) -> None:
        """Send it.

        :raises DeliveryFailed: it did not arrive, or nobody knows whether it did.
        :raises DeliveryRefused: it never will.
        """
