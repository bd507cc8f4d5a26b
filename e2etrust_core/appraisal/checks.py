# SPDX-License-Identifier: Apache-2.0
"""One check after another, each a row: a verdict is composed of them and reads like a sentence.

A check is a function that raises the error that names what does not hold, and returns in a few
words what does.  What comes after a failed check that it stands on is *not reached*: a failed row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.errors import E2ETrustError

T = TypeVar("T")
NOT_REACHED = "NOT_REACHED"


class Rows:
    """The rows of one appraisal, in order."""

    def __init__(self) -> None:
        self.checks: list[CheckResult] = []

    def run(self, check: str, held: str, body: Callable[[], T]) -> T | None:
        """Run *body* as the row *check*; *held* is what its passing means.

        Return what *body* returned, or None where it refused.
        """
        try:
            value = body()
        except E2ETrustError as exc:
            self.checks.append(
                CheckResult(check, "fail", exc.reason, exc.code, exc.remedy, exc.where)
            )
            return None
        self.checks.append(CheckResult(check, "pass", held))
        return value

    def not_reached(self, check: str, after: str) -> None:
        """Add the row of a check that could not be made."""
        self.checks.append(
            CheckResult(check, "fail", f"not reached: {after} failed", NOT_REACHED, "")
        )

    @property
    def all_passed(self) -> bool:
        return bool(self.checks) and all(row.outcome == "pass" for row in self.checks)

    @property
    def first_failed(self) -> str:
        """Name of the first check that failed, empty where none did."""
        return next((row.check for row in self.checks if row.outcome != "pass"), "")
