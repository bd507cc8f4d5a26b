# SPDX-License-Identifier: Apache-2.0
"""What a chapter can do to the cloud, and what the chapters before it left there."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from e2ecloud import Cloud, api
from e2edemo.chapter import ClaimFailed, Evidence
from e2edemo.report import Teller
from e2edemo.servers import Servers, connect
from e2edemo.waiting import wait_for
from e2etrust_client.api import AttestationClient
from e2etrust_client.model import HostState
from e2etrust_core.trust_names import TRUSTED_TRAIT

HOSTS = ("host1", "host2")
VIRSH = ("virsh", "-c", "qemu:///system")
#: Longer than a lease and a beat of the agent, on a machine that is busy.
TRUST_SECONDS = 150.0


@dataclass
class Stage:
    """The cloud, its users, and the things made so far by name."""

    cloud: Cloud
    teller: Teller
    work: Path
    secret: str = field(default_factory=lambda: f"TENANT-SECRET-{secrets.token_hex(16)}")
    secret_name: str = field(default_factory=lambda: f"payroll-{secrets.token_hex(6)}.txt")
    servers: dict[str, Any] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    figures: Evidence = field(default_factory=dict)

    @cached_property
    def alice(self) -> Servers:
        return Servers(connect(api.environment(self.cloud, "alice")))

    @cached_property
    def admin(self) -> Servers:
        return Servers(connect(api.environment(self.cloud, "admin")))

    @cached_property
    def attestation(self) -> AttestationClient:
        return AttestationClient(self.admin.cloud.session, interface="public")

    def say(self, name: str, value: object) -> None:
        self.teller.value(name, value)

    # --- commands, as people type them ---------------------------------------------------

    def openstack(self, *words: str, user: str = "alice") -> str:
        """Run the ``openstack`` command.

        :raises ClaimFailed: it failed; with its last line.
        """
        done = api.openstack(self.cloud, *words, user=user)
        if done.returncode != 0:
            raise ClaimFailed(
                f"openstack {' '.join(words[:4])} failed: {_last(_text(done.stderr))}"
            )
        return _text(done.stdout)

    def openstack_json(self, *words: str, user: str = "alice") -> Any:
        return api.openstack_json(self.cloud, *words, user=user)

    def on_host(self, host: str, *words: str, data: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program as root of a compute host, *data* on its standard input."""
        done = api.host_exec(self.cloud, host, list(words), input=data.encode())
        return subprocess.CompletedProcess(
            done.args, done.returncode, _text(done.stdout), _text(done.stderr)
        )

    # --- trust ---------------------------------------------------------------------------

    def host(self, name: str) -> HostState:
        return self.attestation.host(name)

    def wait_trusted(self, name: str, timeout: float = TRUST_SECONDS) -> HostState:
        def probe() -> HostState | None:
            state = self._host_or_none(name)
            return state if state and state.state == "trusted" else None

        return wait_for(f"{name} to be trusted", probe, timeout)

    def wait_untrusted(self, name: str, timeout: float = TRUST_SECONDS) -> HostState:
        def probe() -> HostState | None:
            state = self.host(name)
            return state if state.state != "trusted" else None

        return wait_for(f"{name} to lose its lease", probe, timeout)

    def wait_trait(self, host: str, there: bool, timeout: float = TRUST_SECONDS) -> None:
        word = "carry" if there else "lose"
        wait_for(
            f"{host} to {word} {TRUSTED_TRAIT}",
            lambda: (TRUSTED_TRAIT in self.traits(host)) is there,
            timeout,
        )

    def traits(self, host: str) -> list[str]:
        placement = self.admin.cloud.placement
        found = placement.get(f"/resource_providers?name={host}").json()["resource_providers"]
        if not found:
            raise ClaimFailed(f"placement knows no provider {host}")
        answer = placement.get(
            f"/resource_providers/{found[0]['uuid']}/traits",
            headers={"OpenStack-API-Version": "placement 1.6"},
        )
        return list(answer.json()["traits"])

    def approve(self, host: str) -> None:
        """As the operator: let a host that failed try again."""
        done = api.exec_in(
            self.cloud, [str(self.cloud.bin / "e2etrust-manage"), "host", "approve", host]
        )
        if done.returncode != 0:
            raise ClaimFailed(f"host approve {host} failed: {_last(_text(done.stderr))}")

    def _host_or_none(self, name: str) -> HostState | None:
        try:
            return self.host(name)
        except Exception:
            return None  # enrolment or the service's start is still under way

    # --- scheduling and logs -------------------------------------------------------------

    @contextmanager
    def without(self, host: str) -> Iterator[None]:
        """Have Nova put no server on *host* meanwhile."""
        compute = self.admin.cloud.compute

        def service() -> Any:
            every = compute.services()
            return next(s for s in every if s.binary == "nova-compute" and s.host == host)

        compute.disable_service(service(), disabled_reason="demo")
        try:
            yield
        finally:
            compute.enable_service(service())

    def domain(self, server: Any) -> str:
        """Return libvirt's name of the server's domain."""
        return self.admin.show(server).instance_name

    def definition(self, host: str, domain: str) -> str:
        """Return the XML of a domain as it would be started next."""
        done = self.on_host(host, *VIRSH, "dumpxml", "--inactive", "--security-info", domain)
        if done.returncode != 0:
            raise ClaimFailed(f"{domain} is not defined on {host}: {done.stderr}")
        return done.stdout

    def host_of(self, server: Any) -> str:
        return self.admin.show(server).compute_host

    def log_has(self, service: str, *texts: str) -> str | None:
        """Return the last line of a service's log that holds all *texts*, or None."""
        lines = Path(api.log_path(self.cloud, service)).read_text(errors="replace").splitlines()
        found = [line for line in lines if all(t in line for t in texts)]
        return found[-1] if found else None

    def qemu_runs(self, host: str, domain: str) -> bool:
        return self.on_host(host, "pgrep", "-f", f"guest={domain}[,]").returncode == 0


def _text(output: bytes) -> str:
    return output.decode(errors="replace")


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no word"
