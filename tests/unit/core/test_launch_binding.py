# SPDX-License-Identifier: Apache-2.0
"""What the quote of a launch is bound to."""

from __future__ import annotations

from dataclasses import replace

from e2etrust_core import wire
from e2etrust_core.evidence.model import RunningDomain
from e2etrust_core.launch import LaunchMeasurement, LaunchRequest, launch_binding

MEASUREMENT = LaunchMeasurement(
    "7c0cd5a2-4a7f-4c3e-9d5e-3f1d1b1f2a10", b"f" * 32, b"m" * 32, "lease-1"
)
REQUEST = LaunchRequest(MEASUREMENT, "vm", "project1", None, "trusted", None, vtpm=True)
DOMAINS = [RunningDomain("i", "n", True, None)]


def bound(request: LaunchRequest) -> str:
    return launch_binding(b"n" * 32, request, DOMAINS).hex()


def test_request_without_a_level_is_bound_as_before_there_were_levels():
    # What the release before made of the same request: its hosts and records stay good.
    assert bound(REQUEST) == "40081428e5605d6c6835629054d6da8bd58b5b513510eb8cbe9b601cc41a8938"


def test_request_of_the_release_before_is_read():
    old = wire.to_dict(REQUEST)
    del old["level"]
    assert wire.from_dict(LaunchRequest, old) == REQUEST


def test_level_is_under_the_signature():
    assert len({bound(replace(REQUEST, level=level)) for level in range(10)}) == 10
