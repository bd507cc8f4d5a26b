# SPDX-License-Identifier: Apache-2.0
"""Power is cut on a good host: it comes up, attests again by itself, and serves again."""

from __future__ import annotations

from e2ecloud import api
from e2edemo.chapter import Evidence, claim
from e2edemo.stage import Stage
from e2edemo.waiting import wait_for


def tell(stage: Stage) -> Evidence:
    server = stage.servers["vm-full"]
    before = api.tpm_clock(stage.cloud, "host1").reset_count
    launches = len(stage.attestation.server(server.id).launches)
    said = stage.alice.console(server).count("E2E-GUEST up")
    api.power_cut(stage.cloud, "host1")
    claim(not stage.alice.show(server).task_state, "the server was busy when power went")
    api.boot(stage.cloud, "host1")
    after = api.tpm_clock(stage.cloud, "host1").reset_count
    claim(after > before, f"resetCount stood still at {before}")
    host = wait_for(
        "host1 to attest in its new boot",
        lambda: _leased_since(stage, after),
        timeout=180,
    )
    stage.say("host1", f"resetCount {before} -> {after}, leased again")
    _wait_compute(stage)
    # Nova notices sooner or later that both servers are off; a hard reboot is allowed either way.
    for name in ("vm-full", "vm-unsealed"):
        stage.alice.cloud.compute.reboot_server(stage.servers[name].id, "HARD")
    for name in ("vm-full", "vm-unsealed"):
        stage.alice.settled(stage.servers[name], "ACTIVE")
    wait_for(
        "the guest to come up again",
        lambda: (
            stage.alice.console(server).count("E2E-GUEST up") != said
            or len(stage.attestation.server(server.id).launches) > launches
        ),
        timeout=300,
    )
    stage.alice.said(server, "E2E-GUEST up")
    claim(
        len(stage.attestation.server(server.id).launches) > launches,
        "the VM runs again without a new launch record",
    )
    stage.say("vm-full", "booted again on host1 under a new launch record")
    return {"reset_count": [before, after], "lease_seconds": round(host.lease_seconds, 1)}


def _leased_since(stage: Stage, reset_count: int) -> object:
    host = stage.host("host1")
    fresh = host.reset_count is not None and host.reset_count >= reset_count
    return host if host.state == "trusted" and fresh else None


def _wait_compute(stage: Stage) -> None:
    """Wait until nova-compute of host1 reports again."""

    def probe() -> bool:
        services = stage.admin.cloud.compute.services()
        return any(
            s.binary == "nova-compute" and s.host == "host1" and s.state == "up" for s in services
        )

    wait_for("nova-compute on host1", probe, timeout=180)
