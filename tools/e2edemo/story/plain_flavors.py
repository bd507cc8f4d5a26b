# SPDX-License-Identifier: Apache-2.0
"""Plain flavors are unaffected, on untrusted hosts too; the hook costs one short process."""

from __future__ import annotations

import statistics
import time
from typing import Any

from e2edemo.chapter import Evidence, claim
from e2edemo.stage import VIRSH, Stage

_ROUNDS = 5
_HOOK = "/etc/libvirt/hooks/qemu"
#: Name, image and flavor.
SERVER = ("vm-plain", "unsealed", "plain")


def begin(stage: Stage) -> None:
    """The plain server lives through all chapters, on the host that will be bad."""
    stage.figures["vm-plain process"] = _process(stage)
    stage.say("vm-plain", "a server of a plain flavor runs on host2 from here on")


def tell(stage: Stage) -> Evidence:
    server = stage.servers["vm-plain"]
    claim(stage.alice.show(server).status == "ACTIVE", "the plain server did not stay up")
    process = _process(stage)
    claim(process == stage.figures["vm-plain process"], "the plain server was restarted")
    state = stage.host("host2").state
    claim(state != "trusted", "host2 is trusted again")
    stage.say("vm-plain", f"the same process since chapter 3, on host2, which is {state}")
    on_untrusted = _on_host2(stage, state)
    hook, bare = _hook_cost(stage, server)
    stage.say("hook for a plain domain", f"{hook:.0f} ms a call (a bare shell: {bare:.0f} ms)")
    return {
        "vm_plain_process": process,
        "started_on_untrusted": on_untrusted,
        "hook_ms": round(hook, 1),
        "bare_process_ms": round(bare, 1),
    }


def _process(stage: Stage) -> str:
    """Return process id and start time of vm-plain's QEMU."""
    domain = stage.domain(stage.servers["vm-plain"])
    found = stage.on_host("host2", "pgrep", "-f", f"guest={domain}[,]").stdout.split()
    claim(len(found) == 1, f"vm-plain has {len(found)} processes")
    started = stage.on_host("host2", "ps", "-o", "lstart=", "-p", found[0]).stdout.strip()
    return f"{found[0]} since {started}"


def _on_host2(stage: Stage, state: str) -> str:
    """Stop and start the plain server on host 2, which nobody trusts any more."""
    server = stage.servers["vm-plain"]
    stage.alice.stop(server)
    stage.alice.start(server)
    stage.alice.settled(server, "ACTIVE")
    stage.say("vm-plain", f"stopped and started on host2, which is {state}")
    return f"host2 ({state})"


def _hook_cost(stage: Stage, server: Any) -> tuple[float, float]:
    """Return median milliseconds of a hook call, and of a shell that does nothing.

    What it takes to get into the host is taken off both.
    """
    domain = stage.domain(server)
    xml = stage.on_host("host2", *VIRSH, "dumpxml", domain).stdout
    stage.on_host("host2", "sh", "-c", "cat > /run/plain.xml", data=xml)
    hook = f"{_HOOK} {domain} prepare begin - < /run/plain.xml"

    def timed(*command: str) -> float:
        started = time.monotonic()
        done = stage.on_host("host2", *command)
        claim(done.returncode == 0, f"the hook refused a plain domain: {done.stderr}")
        return (time.monotonic() - started) * 1000

    entering = statistics.median(timed("true") for _ in range(_ROUNDS))
    called = statistics.median(timed("sh", "-c", hook) for _ in range(_ROUNDS))
    bare = statistics.median(timed("sh", "-c", ":") for _ in range(_ROUNDS))
    return called - entering, max(bare - entering, 0.0)
