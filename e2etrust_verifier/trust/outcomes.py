# SPDX-License-Identifier: Apache-2.0
"""Calls that are served together: what fails of one is its own, and the others go on.

An outcome is a value, or the exception that a call failed with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def of_each(step: Callable[[A], B], before: Iterable[A | Exception]) -> list[B | Exception]:
    """Take a *step* with each that has not failed."""
    return [one if isinstance(one, Exception) else _tried(step, one) for one in before]


def of_all(
    step: Callable[[list[A]], Sequence[B | Exception]], before: Sequence[A | Exception]
) -> list[B | Exception]:
    """Take one *step* with all that have not failed; it tells an outcome for each of them."""
    good = [one for one in before if not isinstance(one, Exception)]
    after = iter(step(good) if good else ())
    return [one if isinstance(one, Exception) else next(after) for one in before]


def with_each(
    values: Iterable[A], outcomes: Iterable[B | Exception]
) -> list[tuple[A, B] | Exception]:
    """Put a value beside each outcome that is no failure."""
    pairs = zip(values, outcomes, strict=True)
    return [one if isinstance(one, Exception) else (value, one) for value, one in pairs]


def only(outcomes: Sequence[A | Exception]) -> A:
    """Return the one outcome there is, or raise it."""
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _tried(step: Callable[[A], B], one: A) -> B | Exception:
    try:
        return step(one)
    except Exception as exc:
        return exc
