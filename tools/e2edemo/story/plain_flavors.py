# SPDX-License-Identifier: Apache-2.0
"""Plain flavors are unaffected, on untrusted hosts too; the hook costs one short process."""

from __future__ import annotations

import statistics
import time
from typing import Any

from e2edemo.chapter import Evidence, claim
from e2edemo.stage import Stage

_ROUNDS = 5
_HOOK = "/etc/libvirt/hooks/qemu"


def tell(stage: Stage) -> Evidence:
    server = stage.servers.get("vm-plain") or begin(stage)
    claim(stage.alice.show(server).status == "ACTIVE", "the plain server did not stay up")
    stage.say("vm-plain", "ACTIVE since the first chapter")
    on_untrusted = _on_host2(stage)
    hook, bare = _hook_cost(stage, server)
    stage.say("hook for a plain domain", f"{hook:.0f} ms a call (a bare process: {bare:.0f} ms)")
    return {
        "vm_plain": "ACTIVE",
        "started_on_untrusted": on_untrusted,
        "hook_ms": round(hook, 1),
        "bare_process_ms": round(bare, 1),
    }


def begin(stage: Stage) -> Any:
    """Boot the plain server that has to live through all chapters (on host2: host1 is cut)."""
    stage.set_compute("host1", enabled=False)
    try:
        server = stage.alice.create("vm-plain", "unsealed", "plain")
        stage.alice.settled(server, "ACTIVE")
    finally:
        stage.set_compute("host1", enabled=True)
    stage.servers["vm-plain"] = server
    return server


def _on_host2(stage: Stage) -> str:
    """Stop and start the plain server on host 2, which nobody trusts any more."""
    server = stage.servers["vm-plain"]
    state = stage.host("host2").state
    claim(state != "trusted", "host2 is trusted again")
    stage.alice.stop(server)
    stage.alice.start(server)
    stage.alice.settled(server, "ACTIVE")
    stage.say("vm-plain", f"stopped and started on host2, which is {state}")
    return f"host2 ({state})"


def _hook_cost(stage: Stage, server: Any) -> tuple[float, float]:
    """Return milliseconds of a hook call and of `true`, medians, in the same host."""
    domain = stage.domain(server)
    xml = stage.on_host("host2", "virsh", "-c", "qemu:///system", "dumpxml", domain).stdout
    stage.on_host("host2", "sh", "-c", "cat > /run/plain.xml", data=xml)
    hook = f"{_HOOK} {domain} prepare begin - < /run/plain.xml"

    def timed(command: str) -> float:
        started = time.monotonic()
        done = stage.on_host("host2", "sh", "-c", command)
        claim(done.returncode == 0, f"the hook refused a plain domain: {done.stderr}")
        return (time.monotonic() - started) * 1000

    empty = statistics.median(timed("true < /run/plain.xml") for _ in range(_ROUNDS))
    called = statistics.median(timed(hook) for _ in range(_ROUNDS))
    bare = statistics.median(timed("/bin/true < /run/plain.xml") for _ in range(_ROUNDS))
    return called - empty, max(bare - empty, 0.0)
