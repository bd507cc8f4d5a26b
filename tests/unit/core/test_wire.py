# SPDX-License-Identifier: Apache-2.0
"""What crosses a machine's border is of its shape, or refused as malformed."""

from __future__ import annotations

from typing import Any

import pytest

from e2etrust_core import wire
from e2etrust_core.errors import InputError
from e2etrust_core.messages import AttestRequest


@pytest.mark.parametrize("kind", [AttestRequest, dict[str, Any], list])
@pytest.mark.parametrize("text", ['{"x":' * 100_000, "[" * 100_000, '{"x":' + "[" * 50_000])
def test_nesting_without_end_is_malformed_and_no_fault_of_ours(kind, text):
    with pytest.raises(InputError):
        wire.from_json(kind, text)
