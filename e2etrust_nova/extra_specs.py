# SPDX-License-Identifier: Apache-2.0
"""Validators of our flavor extra specs (entry point ``nova.api.extra_spec_validators``).

With them Nova's API answers 400 from microversion 2.86 to a wrong value, and to any other key
in the namespace ``trust:``.
"""

from __future__ import annotations

from nova.api.validation.extra_specs import base

from e2etrust_nova.demand import TRUST_SPEC, TRUSTED


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
    ]
