# SPDX-License-Identifier: Apache-2.0
"""What is told: one value, the same for every destination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Priorities of oslo.messaging's notifier that are used.
Priority = Literal["info", "warn", "error"]


@dataclass(frozen=True, slots=True)
class Notice:
    """``id`` (a UUID) stays the same however often it is sent: who gets it twice knows by that.

    ``type`` is of :mod:`.kinds`, ``at`` ISO 8601 with a zone.  ``codes`` are those of the refusals
    it is about, ``message`` is for people.  No evidence, no expected value, no key is in it.
    ``version``: its minor part grows with new fields, its major part with everything else.
    """

    id: str
    type: str
    at: str
    message: str
    host: str | None = None
    instance: str | None = None
    codes: list[str] | None = None
    version: str = "1.0"
