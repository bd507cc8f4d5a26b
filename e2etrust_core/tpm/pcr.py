# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from e2etrust_core.evidence.model import PcrSelection, PcrValues
from e2etrust_core.tpm.device import Tpm


def read_pcrs(tpm: Tpm, selection: PcrSelection) -> PcrValues:
    """Read the selected PCRs, all of one moment."""
    raise NotImplementedError


def extend_pcr(tpm: Tpm, index: int, digests: dict[str, bytes]) -> None:
    """Extend PCR *index* by one digest a bank."""
    raise NotImplementedError


def active_banks(tpm: Tpm) -> list[str]:
    """Return the names of the banks that have PCRs."""
    raise NotImplementedError
