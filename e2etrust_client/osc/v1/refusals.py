# SPDX-License-Identifier: Apache-2.0
"""Errors of ours become one line with the reason and the next step, and exit status 1."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from osc_lib import exceptions as osc_exc

from e2etrust_core.errors import E2ETrustError

F = TypeVar("F", bound=Callable[..., Any])


def told(action: F) -> F:
    """Turn an :class:`E2ETrustError` raised by a command into osc-lib's CommandError."""

    @functools.wraps(action)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return action(*args, **kwargs)
        except E2ETrustError as exc:
            hint = f". Next: {exc.remedy}" if exc.remedy else ""
            raise osc_exc.CommandError(f"{exc}{hint}") from exc

    return wrapper  # type: ignore[return-value]
