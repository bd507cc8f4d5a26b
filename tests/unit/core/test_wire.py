# SPDX-License-Identifier: Apache-2.0
"""What crosses a machine's border is of its shape, or refused as malformed."""

from __future__ import annotations

from typing import Any

import pytest

from e2etrust_core import wire
from e2etrust_core.errors import InputError
from e2etrust_core.evidence.model import RunningDomain
from e2etrust_core.launch import attest_binding
from e2etrust_core.messages import AttestRequest

DOMAIN = RunningDomain("i", "n", demands_trust=False, launch=None)


@pytest.mark.parametrize("kind", [AttestRequest, dict[str, Any], list])
@pytest.mark.parametrize("text", ['{"x":' * 100_000, "[" * 100_000, '{"x":' + "[" * 50_000])
def test_nesting_without_end_is_malformed_and_no_fault_of_ours(kind, text):
    with pytest.raises(InputError):
        wire.from_json(kind, text)


def test_half_a_character_is_malformed_wherever_it_stands():
    """It came out as an internal error of the verifier, with a trace in its log."""
    half = "\ud800"
    for value in (half, {half: 1}, {"host": half, "nonce": half}):
        with pytest.raises(InputError, match="half a character"):
            wire.from_dict(AttestRequest, value)
    for text in ('"\ud800"', b'"\\ud800"', b'"\xed\xa0\x80"'):
        with pytest.raises(InputError):
            wire.from_json(str, text)
    domain = wire.from_dict(RunningDomain, {**wire.to_dict(DOMAIN), "name": half})
    with pytest.raises(InputError, match="half a character"):
        attest_binding(b"n", [domain])
