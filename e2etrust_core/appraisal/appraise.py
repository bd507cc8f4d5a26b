# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from collections.abc import Collection

from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.appraisal.reference import Appraisal, HostReference
from e2etrust_core.evidence.model import HostEvidence, PcrSelection


def appraise_host(
    reference: HostReference,
    policy: HostPolicy,
    evidence: HostEvidence,
    qualifying: bytes,
    selection: PcrSelection,
    known_launches: Collection[str],
) -> Appraisal:
    """Never raises for bad evidence."""
    raise NotImplementedError
