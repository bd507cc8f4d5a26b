# SPDX-License-Identifier: Apache-2.0
"""What a policy says of which TPM a host has, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: By what the verifier accepted an endorsement key when the host enrolled.
AcceptedBy = Literal["certificate", "inventory"]


@dataclass(frozen=True, slots=True)
class TpmRules:
    """``suites`` by name; ``manufacturers``: TPM_PT_MANUFACTURER as up to four characters without
    what pads them; ``eks``: SHA-256 of the EK's TPMT_PUBLIC.  None: whichever.
    """

    suites: frozenset[str] | None = None
    manufacturers: frozenset[bytes] | None = None
    accepted_by: frozenset[str] | None = None
    eks: frozenset[bytes] | None = None
