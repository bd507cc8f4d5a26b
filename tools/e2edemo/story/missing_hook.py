# SPDX-License-Identifier: Apache-2.0
"""The hook is taken away under a running libvirtd: no sealed disk opens, and it is noticed."""

from __future__ import annotations

from e2edemo.chapter import Evidence, claim
from e2edemo.stage import VIRSH, Stage
from e2edemo.waiting import wait_for

_HOOK = "/etc/libvirt/hooks/qemu"


def tell(stage: Stage) -> Evidence:
    sealed, unsealed = stage.servers["vm-full"], stage.servers["vm-unsealed"]
    claim(stage.host_of(sealed) == "host1", "vm-full is not on host1")
    claim(stage.host_of(unsealed) == "host1", "vm-unsealed is not on host1")
    taken = stage.on_host("host1", "mv", _HOOK, _HOOK + ".taken")
    claim(taken.returncode == 0, f"the hook could not be taken away: {taken.stderr}")
    try:
        words = _sealed_cannot_open(stage, sealed)
        state = _unsealed_is_noticed(stage, unsealed)
    finally:
        stage.on_host("host1", "mv", _HOOK + ".taken", _HOOK)
    stage.alice.stop(unsealed)
    stage.approve("host1")
    stage.wait_trusted("host1")
    stage.say("host1", "hook put back, VM stopped, host approved by the operator: leased again")
    return {"sealed": words, **state}


def _sealed_cannot_open(stage: Stage, server: object) -> str:
    stage.alice.stop(server)
    domain = stage.domain(server)
    done = stage.on_host("host1", *VIRSH, "start", domain)
    claim(done.returncode != 0, "a sealed VM started without the hook")
    claim(not stage.qemu_runs("host1", domain), "QEMU runs")
    words = done.stderr.strip().splitlines()[-1]
    claim("qcow2" in words or "disk" in words, f"it failed for another reason: {words}")
    stage.say("sealed VM", words[-120:])
    return words


def _unsealed_is_noticed(stage: Stage, server: object) -> Evidence:
    stage.alice.stop(server)
    stage.alice.start(server)
    stage.alice.settled(server, "ACTIVE")
    stage.say("unsealed VM of a trusted flavor", "started without the hook")
    host = stage.wait_untrusted("host1")
    failed = [c for c in host.checks if c.outcome != "pass"]
    claim(failed, "host1 lost its lease, but no check says why")
    event = wait_for("an event that names the VM", lambda: _event(stage, server), timeout=60)
    stage.say("host1", f"{host.state}: {failed[0].code}: {failed[0].reason}")
    stage.say("event", event)
    return {"host1": f"{failed[0].code}: {failed[0].reason}", "event": event}


def _event(stage: Stage, server: object) -> str | None:
    identifier = server.id  # type: ignore[attr-defined]
    for event in stage.attestation.events(limit=100, host="host1"):
        if event.kind == "unrecorded-domain" and identifier in event.message:
            return f"{event.kind}: {event.message}"
    return None
