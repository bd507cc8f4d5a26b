# SPDX-License-Identifier: Apache-2.0
"""OSSN-0059: a VM that was stopped on a host before it was tampered with does not start there."""

from __future__ import annotations

from e2edemo.chapter import Evidence, claim
from e2edemo.stage import Stage
from e2edemo.waiting import wait_for


def tell(stage: Stage) -> Evidence:
    server = stage.servers["vm-main"]
    domain = stage.domain(server)
    before = stage.attestation.server(server.id)
    claim(stage.host_of(server) == "host2", "vm-main is not on host2")
    stage.alice.start(server)
    event = wait_for(
        "the start to fail",
        lambda: stage.alice.last_action_event(server, "start"),
        timeout=120,
    )
    claim(event["result"] == "Error", f"the start ended with {event['result']}")
    now = stage.alice.settled(server, "SHUTOFF")
    claim(not stage.qemu_runs("host2", domain), "QEMU runs")
    after = stage.attestation.server(server.id)
    claim(len(after.launches) == len(before.launches), "a launch was granted, so a key went out")
    shown = stage.openstack_json("attestation", "server", "show", server.name)
    claim(shown["last_refusal"], "the tenant is not told why")
    claim(shown["next_step"], "the tenant is not told what to do")
    stage.say("tenant reads", shown["last_refusal"])
    stage.say("next step", shown["next_step"])
    return {
        "status": now.status,
        "event": event["result"],
        "launches_before": len(before.launches),
        "launches_after": len(after.launches),
        "tenant_reads": shown["last_refusal"],
        "next_step": shown["next_step"],
    }
