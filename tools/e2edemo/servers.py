# SPDX-License-Identifier: Apache-2.0
"""Nova servers as one of the cloud's users sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import openstack
from openstack.connection import Connection

from e2edemo.chapter import ClaimFailed
from e2edemo.waiting import wait_for

# Long enough for a guest under software emulation on a busy machine.
BOOT_SECONDS = 300.0
_MICROVERSION = "2.93"


def connect(environment: dict[str, str]) -> Connection:
    """Return an SDK connection for the OS_* variables of a user."""
    return openstack.connect(
        load_envvars=False,
        load_yaml_config=False,
        auth={
            "auth_url": environment["OS_AUTH_URL"],
            "username": environment["OS_USERNAME"],
            "password": environment["OS_PASSWORD"],
            "project_name": environment["OS_PROJECT_NAME"],
            "user_domain_name": environment.get("OS_USER_DOMAIN_NAME", "Default"),
            "project_domain_name": environment.get("OS_PROJECT_DOMAIN_NAME", "Default"),
        },
        region_name=environment.get("OS_REGION_NAME", "RegionOne"),
        compute_default_microversion=_MICROVERSION,
    )


@dataclass(frozen=True)
class Servers:
    """Servers through one user's connection."""

    cloud: Connection

    def create(self, name: str, image: str, flavor: str, zone: str | None = None) -> Any:
        """Ask for a server without network; return it as soon as Nova has it."""
        asked: dict[str, Any] = {
            "name": name,
            "image_id": self.cloud.image.find_image(image, ignore_missing=False).id,
            "flavor_id": self.cloud.compute.find_flavor(flavor, ignore_missing=False).id,
            "networks": "none",
        }
        if zone:
            asked["availability_zone"] = zone
        return self.cloud.compute.create_server(**asked)

    def show(self, server: Any) -> Any:
        return self.cloud.compute.get_server(server.id)

    def settled(self, server: Any, wanted: str, timeout: float = BOOT_SECONDS) -> Any:
        """Wait until the server is *wanted* with no task running, and return it.

        :raises ClaimFailed: it went to ERROR instead (with Nova's fault), or nowhere.
        """

        def probe() -> Any:
            now = self.show(server)
            if now.status == "ERROR" and wanted != "ERROR":
                fault = (now.fault or {}).get("message", "no reason given")
                raise ClaimFailed(f"server {now.name} went to ERROR: {fault}")
            return now if now.status == wanted and not now.task_state else None

        return wait_for(f"server {server.name} {wanted}", probe, timeout)

    def stop(self, server: Any) -> Any:
        self.cloud.compute.stop_server(server)
        return self.settled(server, "SHUTOFF")

    def start(self, server: Any) -> None:
        self.cloud.compute.start_server(server)

    def console(self, server: Any) -> str:
        return self.cloud.compute.get_server_console_output(server.id)["output"] or ""

    def said(self, server: Any, text: str, timeout: float = BOOT_SECONDS, times: int = 1) -> str:
        """Wait until the guest printed *text* (at least *times*), return its last such line."""

        def probe() -> str | None:
            lines = [line for line in self.console(server).splitlines() if text in line]
            return lines[-1] if len(lines) >= times else None

        return wait_for(f"{server.name}'s guest to print {text!r}", probe, timeout, pause=1.0)

    def last_action_event(self, server: Any, action: str) -> Any:
        """Return the newest finished event of the newest *action*, or None."""
        actions = [a for a in self.cloud.compute.server_actions(server.id) if a.action == action]
        if not actions:
            return None
        newest = max(actions, key=lambda a: a.start_time)
        full = self.cloud.compute.get_server_action(newest.request_id, server.id)
        events = [e for e in full.events or [] if e.get("finish_time")]
        return events[-1] if events else None

    def remove(self, server: Any) -> None:
        """Delete the server and wait until it is gone."""
        self.cloud.compute.delete_server(server.id, ignore_missing=True)
        self.cloud.compute.wait_for_delete(server, interval=1, wait=BOOT_SECONDS)
