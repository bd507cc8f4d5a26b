# SPDX-License-Identifier: Apache-2.0
"""Validators of our flavor extra specs (entry point ``nova.api.extra_spec_validators``).

With them Nova's API answers 400 from microversion 2.86 to a wrong value, and to any other key
in the namespace ``trust:``.
"""

from __future__ import annotations

from nova.api.validation.extra_specs import base

from e2etrust_core.trust_names import (
    HIGHEST_LEVEL,
    LOWEST_LEVEL,
    MIN_LEVEL_SPEC,
    TRUST_SPEC,
    TRUSTED,
)


def register() -> list[base.ExtraSpecValidator]:
    """Return the validators, one for each extra spec."""
    return [
        base.ExtraSpecValidator(
            name=TRUST_SPEC,
            description=(
                "The server starts only on a host that has just proved, with its TPM, what it "
                "runs. Remove the extra spec to ask nothing of the host."
            ),
            value={
                "type": str,
                "description": "What is asked of the host.",
                "enum": [TRUSTED],
            },
        ),
        base.ExtraSpecValidator(
            name=MIN_LEVEL_SPEC,
            description=(
                "The server starts only on a trusted host whose policy gives this level or a "
                "higher one; what the levels mean the operator's policies say. It demands trust "
                "by itself."
            ),
            value={
                "type": int,
                "description": "The least level.",
                "min": LOWEST_LEVEL,
                "max": HIGHEST_LEVEL,
            },
        ),
    ]
