# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.evidence.model import PcrSelection


def parse_policy(text: str) -> HostPolicy:
    """:raises PolicyError: names the field."""
    raise NotImplementedError


def selection_of(policy: HostPolicy) -> PcrSelection:
    """Return the PCRs to ask a host for; empty for an empty policy."""
    raise NotImplementedError
