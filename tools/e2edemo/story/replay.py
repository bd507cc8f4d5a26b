# SPDX-License-Identifier: Apache-2.0
"""A recorded quote is sent again, and a quote of host 1 is sent as host 2's: both refused."""

from __future__ import annotations

import json

from e2edemo.chapter import ClaimFailed, Evidence, claim
from e2edemo.stage import Stage


def tell(stage: Stage) -> Evidence:
    before = stage.host("host1").state
    attacks = _attack(stage)
    for name, code in attacks.items():
        stage.say(name, code)
    claim(
        attacks["recorded quote, its own nonce"] == "NONCE_UNKNOWN",
        f"a recorded quote with its own nonce came back with {attacks}",
    )
    claim(
        attacks["recorded quote, fresh nonce"] == "NONCE_MISMATCH",
        f"a recorded quote for a fresh nonce came back with {attacks}",
    )
    claim(
        attacks["host1's fresh quote as host2's"] in ("AK_FOREIGN", "SIGNATURE_WRONG"),
        f"a quote of host1 as host2's came back with {attacks}",
    )
    claim(stage.host("host1").state == before, "the attack changed what is known of host1")
    return dict(attacks)


def _attack(stage: Stage) -> dict[str, str]:
    """Run the attacker on host 1: it has the agent's access to the message bus, and its TPM."""
    script = stage.cloud.checkout / "tools" / "e2edemo" / "bus_attacker.py"
    done = stage.on_host("host1", str(stage.cloud.bin / "python"), str(script))
    if done.returncode != 0:
        raise ClaimFailed(f"the attacker's script broke: {done.stderr[-400:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))
