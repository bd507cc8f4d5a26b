# SPDX-License-Identifier: Apache-2.0
"""Compute hosts: installed once, then booted and cut off like machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

from e2ecloud import firmware, process, services, software, tpm
from e2ecloud import namespace as ns
from e2ecloud.config import e2etrust, libvirt, nova
from e2ecloud.config.shared import Site
from e2ecloud.credentials import write_private
from e2ecloud.errors import CloudError, NotRunning
from e2ecloud.ini import render
from e2ecloud.layout import PREFIX_LENGTH, Cloud, Host


def install(site: Site, host: Host) -> None:
    """Lay out the host's disk as an operator does: libvirt, Nova, E2ETrust's agent and hook."""
    disk = site.cloud.host_dir(host)
    etc = disk / "etc"
    for directory in ("libvirt/hooks", "nova", "e2etrust"):
        (etc / directory).mkdir(parents=True, exist_ok=True)
    (etc / "libvirt/qemu.conf").write_text(libvirt.qemu_conf())
    (etc / "libvirt/libvirtd.conf").write_text(libvirt.libvirtd_conf(host))
    write_private(etc / "nova/nova.conf", render(nova.compute(site, host)))
    if site.cloud.plain:
        return
    software.install(site.cloud, disk / "opt/e2etrust")
    write_private(etc / "e2etrust/agent.conf", render(e2etrust.agent(site, host)))
    hook = etc / "libvirt/hooks/qemu"
    hook.write_text(e2etrust.hook(site.cloud))
    hook.chmod(0o755)


def space_of(cloud: Cloud, host: Host) -> ns.Namespace:
    """:raises NotRunning: when the host has no power."""
    found = ns.load(namespace_record(cloud, host))
    if found is None:
        raise NotRunning(
            f"{host.name} is not running", remedy=f"start it: tools/cloud host {host.name} boot"
        )
    return found


def boot(site: Site, outer: ns.Namespace, host: Host) -> None:
    """Power on: TPM, namespaces, network, measured boot, libvirt; not yet agent and Nova."""
    cloud = site.cloud
    if ns.load(namespace_record(cloud, host)) is not None:
        return
    tpm.power_on(cloud, outer, host)
    ready = cloud.run / f"{host.name}.ready"
    ready.unlink(missing_ok=True)
    log = cloud.host_log(host) / "boot.log"
    script = str(Path(__file__).with_name("host_init.sh"))
    names = str(cloud.run / "hosts")
    arguments = [str(cloud.host_dir(host)), str(cloud.host_log(host)), host.name, host.uuid]
    space = ns.create(
        ["/bin/bash", script, *arguments, str(ready), names, str(cloud.checkout)],
        namespace_record(cloud, host),
        log,
        outer=outer,
        environment=process.clean_environment({}),
    )
    _connect(outer, space, host)
    process.wait_until(
        lambda: ready.exists() or not space.alive(), host.name, timeout=20, log=log, interval=0.02
    )
    if not space.alive():
        raise CloudError(f"{host.name} did not boot", log=log)
    process.run(
        space,
        [f"{cloud.bin}/python", "-P", "-m", "e2ecloud.firmware", firmware.EVENT_LOG],
        environment={"PYTHONPATH": str(cloud.checkout / "tools")},
        log=log,
    )
    start_services(site, host, ("virtlogd", "libvirtd"))
    process.wait_until(
        lambda: libvirt_answers(space), f"libvirtd of {host.name}", timeout=30, log=log
    )


def start_services(site: Site, host: Host, names: tuple[str, ...]) -> None:
    """Start the named services of a booted host, those that it has."""
    space = space_of(site.cloud, host)
    table = services.host(site, host)
    for name in names:
        if name in table:
            process.start(space, table[name].program, service_record(site.cloud, host, name))


def power_cut(cloud: Cloud, outer: ns.Namespace, host: Host) -> None:
    """Everything of the host ends at once, in the middle of whatever it did, its TPM as well."""
    space = ns.load(namespace_record(cloud, host))
    if space is not None:
        ns.kill(space)
    namespace_record(cloud, host).unlink(missing_ok=True)
    tpm.power_off(cloud, outer, host)


def libvirt_answers(space: ns.Namespace) -> bool:
    """Whether libvirtd's QEMU driver answers."""
    try:
        process.run(space, ["virsh", "-c", "qemu:///system", "version"], timeout=30)
    except (CloudError, subprocess.TimeoutExpired):
        return False
    return True


def service_record(cloud: Cloud, host: Host, name: str) -> Path:
    return cloud.run / f"{host.name}-{name}"


def namespace_record(cloud: Cloud, host: Host) -> Path:
    return cloud.run / f"{host.name}.namespace"


def _connect(outer: ns.Namespace, space: ns.Namespace, host: Host) -> None:
    """A cable from the host's eth0 to the cloud's bridge.

    nsenter takes only the network namespaces here, so that /proc still shows PIDs as seen outside.
    """
    bridge = ["nsenter", "-t", str(outer.init_pid), "-n", "ip", "link"]
    peer = ["type", "veth", "peer", "name", "eth0", "netns", str(space.init_pid)]
    _ip([*bridge, "add", host.name, *peer])
    _ip([*bridge, "set", host.name, "master", "br0", "up"])
    inside = ["nsenter", "-t", str(space.init_pid), "-n", "ip"]
    _ip([*inside, "addr", "add", f"{host.ip}/{PREFIX_LENGTH}", "dev", "eth0"])
    _ip([*inside, "link", "set", "eth0", "up"])


def _ip(argv: list[str]) -> None:
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode:
        raise CloudError(f"the network could not be set up: {result.stderr.strip()}")
