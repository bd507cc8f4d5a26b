# SPDX-License-Identifier: Apache-2.0
"""A VM of a trusted flavor boots from a sealed image, reads the secret, and is verified."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from e2edemo.chapter import ClaimFailed, Evidence, claim
from e2edemo.stage import Stage
from e2edemo.story import plain_flavors

_UP = "E2E-GUEST up"
_SECRET = "E2E-SECRET sha256="  # noqa: S105 - what the guest prints before the digest


def tell(stage: Stage) -> Evidence:
    # One sealed VM a host, each from one layout, so that both are seen and later chapters find
    # them. Two guests boot side by side: one under emulation keeps one processor busy.
    evidence = _up(stage, "host2", plain_flavors.SERVER, ("vm-main", "sealed-main", "trusted"))
    plain_flavors.begin(stage)
    # The same guest from the unsealed image, for the comparison in the closing figures.
    unsealed = ("vm-unsealed", "unsealed", "trusted")
    evidence |= _up(stage, "host1", unsealed, ("vm-full", "sealed-full", "trusted"))
    sealed = ("vm-main", "vm-full")
    for name in sealed:
        _reads_the_secret(stage, name)
    with ThreadPoolExecutor() as side_by_side:
        evidence["verify"] = list(side_by_side.map(partial(_verify, stage), sealed))
    return evidence


def _reads_the_secret(stage: Stage, name: str) -> None:
    line = stage.alice.said(stage.servers[name], _SECRET)
    told = line.split(_SECRET, 1)[1].split()[0]
    wanted = hashlib.sha256(stage.secret.encode() + b"\n").hexdigest()
    claim(told == wanted, f"{name}'s guest read another secret")
    stage.say(name, f"the guest printed the secret's digest {told[:16]}...")


def _up(stage: Stage, host: str, *wanted: tuple[str, str, str]) -> Evidence:
    """Boot servers (name, image, flavor) on *host* side by side and wait for their guests."""
    started = time.monotonic()
    evidence: Evidence = {name: {"host": host} for name, _, _ in wanted}

    def passed() -> float:
        return round(time.monotonic() - started, 1)

    with stage.without("host1" if host == "host2" else "host2"):
        for name, image, flavor in wanted:
            stage.servers[name] = stage.alice.create(name, image, flavor)
        for name in evidence:
            stage.alice.settled(stage.servers[name], "ACTIVE")
            evidence[name]["active_seconds"] = passed()
    for name, told in evidence.items():
        server = stage.servers[name]
        stage.alice.said(server, _UP)
        told["up_seconds"] = passed()
        claim(stage.host_of(server) == host, f"{name} runs on {stage.host_of(server)}")
        active, up = told["active_seconds"], told["up_seconds"]
        stage.say(name, f"on {host}, ACTIVE in {active} s, guest up in {up} s")
    return evidence


def _verify(stage: Stage, name: str) -> list[str]:
    rows: list[dict[str, Any]] = stage.openstack_json("attestation", "server", "verify", name)
    failed = [r for r in rows if r["Outcome"] != "pass"]
    if failed or not rows:
        raise ClaimFailed(f"server verify {name}: {failed or 'no rows'}")
    stage.say(f"server verify {name}", f"{len(rows)} checks passed")
    return [f"{r['Check']}: {r['Outcome']}" for r in rows]
