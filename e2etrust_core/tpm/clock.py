# SPDX-License-Identifier: Apache-2.0
"""The TPM's clock and its counts of resets and restarts (Part 1, 36)."""

from __future__ import annotations

from e2etrust_core.evidence.tpm_structures import ClockInfo
from e2etrust_core.tpm.device import Tpm


def read_clock(tpm: Tpm) -> ClockInfo:
    """Return the clock as it is now (TPM2_ReadClock); unsigned, for logs and tools."""
    with tpm.connected() as esys:
        info = esys.read_clock().clockInfo
        return ClockInfo(
            int(info.clock), int(info.resetCount), int(info.restartCount), bool(info.safe)
        )
