# SPDX-License-Identifier: Apache-2.0
"""A VM of a trusted flavor boots from a sealed image, reads the secret, and is verified."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from e2edemo.chapter import ClaimFailed, Evidence, claim
from e2edemo.stage import Stage
from e2edemo.story import plain_flavors

_UP = "E2E-GUEST up"
_SECRET = "E2E-SECRET sha256="  # noqa: S105 - what the guest prints before the digest


def tell(stage: Stage) -> Evidence:
    plain_flavors.begin(stage)
    # One VM a host, each from one layout, so that both are seen and later chapters find them.
    evidence: Evidence = {
        "main": _boot(stage, "sealed-main", "vm-main", "host2"),
        "full": _boot(stage, "sealed-full", "vm-full", "host1"),
    }
    evidence["unsealed"] = _unsealed(stage)
    for server in ("vm-main", "vm-full"):
        evidence[server] = _verify(stage, server)
    return evidence


def _boot(stage: Stage, image: str, name: str, host: str) -> Evidence:
    server, times = _up(stage, image, name, host)
    line = stage.alice.said(server, _SECRET)
    told = line.split(_SECRET, 1)[1].split()[0]
    wanted = hashlib.sha256(stage.secret.encode() + b"\n").hexdigest()
    claim(told == wanted, f"{name}'s guest read another secret")
    stage.say(name, f"the guest printed the secret's digest {told[:16]}...")
    return times


def _unsealed(stage: Stage) -> Evidence:
    """The same guest from the unsealed image, for the comparison in the closing figures."""
    return _up(stage, "unsealed", "vm-unsealed", "host1")[1]


def _up(stage: Stage, image: str, name: str, host: str) -> tuple[Any, Evidence]:
    """Boot a server of the trusted flavor on *host* and wait for its guest."""
    other = "host1" if host == "host2" else "host2"
    with stage.without(other):
        started = time.monotonic()
        server = stage.alice.create(name, image, "trusted")
        stage.servers[name] = server
        stage.alice.settled(server, "ACTIVE")
        active = round(time.monotonic() - started, 1)
    stage.alice.said(server, _UP)
    up = round(time.monotonic() - started, 1)
    claim(stage.host_of(server) == host, f"{name} runs on {stage.host_of(server)}")
    stage.say(name, f"on {host}, ACTIVE in {active} s, guest up in {up} s")
    return server, {"host": host, "active_seconds": active, "up_seconds": up}


def _verify(stage: Stage, name: str) -> list[str]:
    rows: list[dict[str, Any]] = stage.openstack_json("attestation", "server", "verify", name)
    failed = [r for r in rows if r["Outcome"] != "pass"]
    if failed or not rows:
        raise ClaimFailed(f"server verify {name}: {failed or 'no rows'}")
    stage.say(f"server verify {name}", f"{len(rows)} checks passed")
    return [f"{r['Check']}: {r['Outcome']}" for r in rows]
