# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from e2etrust_core.evidence.model import PcrSelection, PcrValues
from e2etrust_core.messages import WrappedKey


def wrap_for_host(
    ek_public: bytes, secret: bytes, selection: PcrSelection, pcr_values: PcrValues
) -> WrappedKey:
    """Wrap *secret* (at most 128 bytes) so that only that TPM in that PCR state opens it.

    :raises StructureError, EkRefused: *ek_public* is no EK that this can encrypt to.
    :raises InputError: empty selection, or values missing for what is selected.
    """
    raise NotImplementedError
