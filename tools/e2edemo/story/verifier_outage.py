# SPDX-License-Identifier: Apache-2.0
"""The verifier is stopped: what runs goes on, nothing new starts; it comes back by itself."""

from __future__ import annotations

import time

from e2ecloud import api
from e2edemo.chapter import Evidence, claim
from e2edemo.stage import VIRSH, Stage
from e2edemo.waiting import wait_for

_SERVICE = "e2etrust-verifier"


def tell(stage: Stage) -> Evidence:
    running = stage.servers["vm-full"]
    stopped = stage.alice.stop(stage.servers["vm-unsealed"])
    api.service(stage.cloud, _SERVICE, "stop")
    try:
        lease = stage.host("host1").lease_seconds
        over = time.monotonic() + lease + 2
        stage.say("verifier", f"stopped; host1's lease has {lease:.0f} s left")
        refusal = _start_refused(stage, stopped)
        time.sleep(max(0.0, over - time.monotonic()))
        fault = _nothing_new(stage)
        claim(_alive(stage, running), "the running VM stopped with the verifier")
        stage.say("running VM", "goes on")
    finally:
        api.service(stage.cloud, _SERVICE, "start")
    started = time.monotonic()
    stage.wait_trusted("host1")
    back = time.monotonic() - started
    stage.alice.start(stopped)
    stage.alice.settled(stopped, "ACTIVE")
    stage.say("verifier", f"back; host1 trusted again after {back:.1f} s, servers start again")
    return {
        "start_refused": refusal,
        "new_server": fault,
        "running_vm": "goes on",
        "trusted_again_after_seconds": round(back, 1),
    }


def _start_refused(stage: Stage, server: object) -> str:
    stage.alice.start(server)
    event = wait_for(
        "the start to fail", lambda: stage.alice.last_action_event(server, "start"), timeout=120
    )
    claim(event["result"] == "Error", "a server started without a verifier")
    stage.say("start of a stopped server", "refused")
    return event["result"]


def _nothing_new(stage: Stage) -> str:
    server = stage.alice.create("vm-outage", "unsealed", "trusted")
    failed = stage.alice.settled(server, "ERROR")
    message = (failed.fault or {}).get("message", "")
    claim("No valid host" in message, f"refused for another reason: {message}")
    stage.say("new server", message)
    stage.alice.remove(server)
    return message


def _alive(stage: Stage, server: object) -> bool:
    domain = stage.domain(server)
    ping = stage.on_host(
        stage.host_of(server),
        *(*VIRSH, "qemu-agent-command", "--timeout", "20", domain),
        '{"execute":"guest-ping"}',
    )
    return ping.returncode == 0
