# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from e2etrust_core.evidence.model import PcrSelection, Quote
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.keys import AttestationKey


def take_quote(tpm: Tpm, ak: AttestationKey, qualifying: bytes, selection: PcrSelection) -> Quote:
    """Quote *selection* with *qualifying* (at most 64 bytes) and the values it covers."""
    raise NotImplementedError
