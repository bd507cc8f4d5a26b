# SPDX-License-Identifier: Apache-2.0
"""Hosts that demand trust for every server: plain ones start on proof, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from e2ecloud import api
from e2edemo.chapter import Evidence, claim
from e2edemo.stage import HOSTS, Stage
from e2edemo.waiting import wait_for
from e2etrust_core.launch_domain import EVERY_SERVER_FILE

_CONF = "/etc/e2etrust/agent.conf"
_SERVICE = "e2etrust-agent"
_SOCKET = "/run/e2etrust/agent.sock"


def tell(stage: Stage) -> Evidence:
    server = stage.servers["vm-plain"]
    claim(stage.host_of(server) == "host2", "vm-plain is not on host2")
    with _every_server(stage):
        stage.wait_trusted("host1")
        launch = _starts_on_proof(stage)
        refusal = _refused(stage, server)
    stage.alice.start(server)
    stage.alice.settled(server, "ACTIVE")
    stage.say("vm-plain", "starts on host2 again once nothing is demanded")
    return {"host1": launch, "host2": refusal}


@contextmanager
def _every_server(stage: Stage) -> Iterator[None]:
    """``[agent] demand = always`` on both hosts, as an operator sets it, and back."""
    _configure(stage, "/^\\[agent\\]/a demand = always", demanded=True)
    stage.say("[agent] demand", "always, on both hosts")
    try:
        yield
    finally:
        _configure(stage, "/^demand = always$/d", demanded=False)


def _configure(stage: Stage, edit: str, demanded: bool) -> None:
    with ThreadPoolExecutor() as side_by_side:
        for done in [side_by_side.submit(_on, host, stage, edit, demanded) for host in HOSTS]:
            done.result()


def _on(host: str, stage: Stage, edit: str, demanded: bool) -> None:
    """Edit the agent's configuration, and wait until the hook sees what it says now."""
    done = stage.on_host(host, "sed", "-i", edit, _CONF)
    claim(done.returncode == 0, f"{_CONF} of {host} cannot be edited: {done.stderr}")
    api.service(stage.cloud, f"{host}/{_SERVICE}", "restart")

    def seen() -> bool:
        there = stage.on_host(host, "test", "-e", EVERY_SERVER_FILE).returncode == 0
        answers = stage.on_host(host, "test", "-S", _SOCKET).returncode == 0
        return answers and there is demanded

    wait_for(f"the agent of {host} to say what it demands", seen, timeout=60)


def _starts_on_proof(stage: Stage) -> str:
    """A new plain server on host 1, which is trusted: it starts on a proof like any other."""
    with stage.without("host2"):
        server = stage.alice.create("vm-plain-proved", "unsealed", "plain")
        stage.alice.settled(server, "ACTIVE")
    launches = stage.attestation.server(server.id).launches
    claim(len(launches) == 1, f"{len(launches)} launches of the plain server are on record")
    stage.say("plain server on host1", "started; its launch is on record")
    stage.alice.remove(server)
    return f"launch {launches[0].id}"


def _refused(stage: Stage, server: Any) -> str:
    """vm-plain on host 2, which is not trusted: once stopped it does not start any more."""
    stage.alice.stop(server)
    stage.alice.start(server)
    event = wait_for(
        "the start to fail", lambda: stage.alice.last_action_event(server, "start"), timeout=120
    )
    claim(event["result"] == "Error", "a plain server started on a host that is not trusted")
    claim(not stage.qemu_runs("host2", stage.domain(server)), "QEMU runs")
    shown = stage.openstack_json("attestation", "server", "show", server.id)
    claim(shown["last_refusal"], "the tenant is not told why")
    stage.say("plain server on host2", shown["last_refusal"])
    return str(shown["last_refusal"])
