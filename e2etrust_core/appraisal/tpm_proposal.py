# SPDX-License-Identifier: Apache-2.0
"""Which TPM a host may have, proposed from that of a host that is known to be good."""

from __future__ import annotations

from typing import Any

from e2etrust_core.appraisal.policy_tpm import ACCEPTED_BY
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.appraisal.tpm_checks import maker_vouched_for
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.ek_manufacturer import manufacturer_text


def propose_tpm(recorded: RecordedAppraisal) -> tuple[dict[str, Any], str]:
    """Return the ``tpm`` section that the host satisfies, and what it accepts.

    The endorsement key itself is not proposed: a policy is for more hosts than one.
    """
    section: dict[str, Any] = {"suites": [recorded.suite]}
    words = [f"a TPM of suite {recorded.suite}"]
    by = recorded.ek_accepted_by.partition(":")[0]
    if by in ACCEPTED_BY:
        section["ek_accepted_by"] = [by]
        words.append(f"enrolled by {by}")
    try:
        maker = manufacturer_text(
            maker_vouched_for(recorded.ek_certificate, recorded.ek_accepted_by)
        )
    except E2ETrustError:
        words.append("whoever made it (no authority vouched for that)")
    else:
        section["manufacturers"] = [maker]
        words.append(f"made by {maker}")
    return section, ", ".join(words)
