# SPDX-License-Identifier: Apache-2.0
"""Errors of ours become one line with the reason and the next step, and exit status 1."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from osc_lib import exceptions as osc_exc

from e2etrust_client.errors import ServiceRefusal
from e2etrust_client.osc.plugin import client_of
from e2etrust_core.errors import E2ETrustError

F = TypeVar("F", bound=Callable[..., Any])

_NAMED = 3


def told(action: F) -> F:
    """Turn an :class:`E2ETrustError` raised by a command into osc-lib's CommandError."""

    @functools.wraps(action)
    def wrapper(command: Any, parsed_args: Any) -> Any:
        try:
            return action(command, parsed_args)
        except E2ETrustError as exc:
            remedy = exc.remedy
            if isinstance(exc, ServiceRefusal) and exc.code == "HOST_UNKNOWN":
                remedy = _name_in_full(command, parsed_args.host) or remedy
            hint = f". Next: {remedy}" if remedy else ""
            raise osc_exc.CommandError(f"{exc}{hint}") from exc

    return wrapper  # type: ignore[return-value]


def _name_in_full(command: Any, part: str) -> str:
    """Name hosts that begin with *part*: it is a short name, or of several hosts."""
    try:
        found = client_of(command.app.client_manager).hosts(name=f"{part}*", limit=_NAMED + 1)
    except E2ETrustError:
        return ""
    names = [host.name for host in found]
    more = " and others" if len(names) > _NAMED else ""
    return f"name it in full: {', '.join(names[:_NAMED])}{more}" if names else ""
