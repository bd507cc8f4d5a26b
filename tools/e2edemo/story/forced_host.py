# SPDX-License-Identifier: Apache-2.0
"""An administrator goes around the scheduler, and around Nova: the hook refuses both."""

from __future__ import annotations

from e2edemo.chapter import Evidence, claim
from e2edemo.stage import VIRSH, Stage


def tell(stage: Stage) -> Evidence:
    server = stage.admin.create("vm-forced", "unsealed", "trusted", zone="nova:host2")
    failed = stage.admin.settled(server, "ERROR")
    message = (failed.fault or {}).get("message", "")
    refusal = stage.attestation.server(server.id).refusals
    claim(refusal, f"the forced server failed for another reason: {message}")
    code = refusal[0].code
    claim(code in message, f"the fault does not begin with the reason: {message}")
    stage.say("forced onto host2", message)
    stage.admin.remove(server)
    words = _by_hand(stage, code)
    return {"fault": message, "code": code, "virsh": words}


def _by_hand(stage: Stage, code: str) -> str:
    domain = stage.domain(stage.servers["vm-main"])
    # Nova took the domain's definition away when its start failed: bring it back as it was.
    defined = stage.on_host(
        "host2", *VIRSH, "define", "/dev/stdin", data=stage.definitions["vm-main"]
    )
    claim(defined.returncode == 0, f"virsh define failed: {defined.stderr}")
    done = stage.on_host("host2", *VIRSH, "start", domain)
    claim(done.returncode != 0, "virsh started the domain")
    claim(code in done.stderr, f"virsh was refused for another reason: {done.stderr}")
    claim(not stage.qemu_runs("host2", domain), "QEMU runs")
    words = done.stderr.strip().splitlines()[-1]
    stage.say("virsh start", words)
    return words
