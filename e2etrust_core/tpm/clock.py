# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from e2etrust_core.evidence.tpm_structures import ClockInfo
from e2etrust_core.tpm.device import Tpm


def read_clock(tpm: Tpm) -> ClockInfo:
    """TPM2_ReadClock."""
    raise NotImplementedError
