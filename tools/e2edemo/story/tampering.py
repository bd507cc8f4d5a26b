# SPDX-License-Identifier: Apache-2.0
"""Host 2 is tampered with: lease and trait go, and nothing trusted is placed there."""

from __future__ import annotations

from e2ecloud import api
from e2edemo.chapter import Evidence, claim
from e2edemo.stage import Stage
from e2edemo.waiting import wait_for

_PCR = 4


def tell(stage: Stage) -> Evidence:
    # The VM of the next chapter is stopped while host 2 is still good (OSSN-0059).
    stopped = stage.servers["vm-main"]
    stage.alice.stop(stopped)
    stage.definitions["vm-main"] = stage.definition("host2", stage.domain(stopped))
    api.host_extend(stage.cloud, "host2", _PCR, b"a boot loader that nobody approved")
    host = stage.wait_untrusted("host2")
    failed = [c for c in host.checks if c.outcome != "pass"]
    claim(failed, "host2 lost its lease, but no check says why")
    stage.say("host2", f"{host.state}: {failed[0].code}: {failed[0].reason}")
    stage.wait_trait("host2", there=False)
    placed = _lands_on_host1(stage)
    fault, line = _no_valid_host(stage, failed[0].check)
    return {
        "failed_checks": [f"{c.check}: {c.reason}" for c in failed],
        "traits_host2": [t for t in stage.traits("host2") if "E2ETRUST" in t],
        "new_server_on": placed,
        "fault": fault,
        "filter_log": line,
    }


def _lands_on_host1(stage: Stage) -> str:
    server = stage.alice.create("vm-placed", "unsealed", "trusted")
    stage.alice.settled(server, "ACTIVE")
    host = stage.host_of(server)
    claim(host == "host1", f"a trusted server landed on {host}")
    stage.say("new trusted server", f"on {host}")
    stage.alice.remove(server)
    return host


def _no_valid_host(stage: Stage, check: str) -> tuple[str, str]:
    with stage.without("host1"):
        server = stage.alice.create("vm-nowhere", "unsealed", "trusted")
        failed = stage.alice.settled(server, "ERROR")
        message = (failed.fault or {}).get("message", "")
        claim("No valid host" in message, f"the fault is another: {message}")
        line = wait_for(
            "the filter's log to name host2 and its failed check",
            lambda: stage.log_has(
                "nova-scheduler", "1 of 1 hosts refused", server.id, "(host2)", check
            ),
            timeout=20,
        )
        stage.alice.remove(server)
    stage.say("with host1 disabled", message)
    stage.say("filter log", line[line.index("1 of 1 hosts") :])
    return message, line
