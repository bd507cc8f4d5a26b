# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from e2etrust_core.appraisal.model import HostPolicy, Verdict
from e2etrust_core.evidence.model import GuestIdentity
from e2etrust_core.messages import LaunchRecord, ServerEvidence


def verify_server(
    record: LaunchRecord,
    server: ServerEvidence,
    nonce: bytes,
    credential_secret: bytes | None,
    policy: HostPolicy | None = None,
    *,
    challenged: GuestIdentity | None = None,
) -> Verdict:
    """*challenged* is the identity that the credential was made for: without it guest-ak fails."""
    raise NotImplementedError
