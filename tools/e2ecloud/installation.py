# SPDX-License-Identifier: Apache-2.0
"""Lay out a new cloud's files: credentials, configuration, TPM chips, hosts' disks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from e2ecloud import credentials as creds
from e2ecloud import hosts, policy, tpm
from e2ecloud.config import e2etrust, render_controller
from e2ecloud.config.shared import Site
from e2ecloud.ini import render
from e2ecloud.layout import CONTROLLER_IP, HOSTS, PLAIN_MARK, Cloud

# What one cloud leaves and the next must not find; the cache stays, the logs until the next start.
_TRANSIENT = ("etc", "state", "run", "hosts", "tpm")
_STATE = (
    *("fernet", "credential-keys", "images", "image-staging", "image-tasks"),
    *("nova/lock", "neutron/lock", "rabbitmq"),
)


def remove(cloud: Cloud) -> None:
    """Delete everything of a cloud that is down, but for its cache and logs."""
    for name in _TRANSIENT:
        shutil.rmtree(cloud.root / name, ignore_errors=True)
    cloud.credentials_file().unlink(missing_ok=True)


def create(cloud: Cloud) -> Site:
    """New credentials, configuration files, TPM chips and hosts."""
    remove(cloud)
    shutil.rmtree(cloud.log, ignore_errors=True)
    for directory in (cloud.etc, cloud.log, cloud.run, cloud.cache, cloud.tpm):
        directory.mkdir(parents=True, exist_ok=True)
    for name in _STATE:
        (cloud.state / name).mkdir(parents=True, mode=0o700)
    if cloud.plain:
        (cloud.root / PLAIN_MARK).touch()
    credentials = creds.draw()
    creds.save(credentials, cloud.credentials_file())
    site = Site(cloud, credentials)
    _write(cloud, render_controller(site))
    for name in ("nova", "neutron"):
        shutil.copy(cloud.venv / f"etc/{name}/api-paste.ini", cloud.etc / name)
    shutil.copy(cloud.venv / "etc/barbican/barbican-api-paste.ini", cloud.etc / "barbican")
    (cloud.etc / "e2etrust/host-policy.d").mkdir(parents=True)
    (cloud.run / "hosts").write_text(_names())
    for host in HOSTS:
        tpm.manufacture(cloud, host)
        hosts.install(site, host)
    return site


def configure_verifier(site: Site, user_id: str) -> None:
    """E2ETrust's files on the controller, once its account exists."""
    cloud = site.cloud
    _write(cloud, {"e2etrust/verifier.conf": render(e2etrust.verifier(site, user_id))})
    (cloud.etc / "e2etrust/ek-ca.pem").write_text(tpm.ca_bundle(cloud))
    (cloud.etc / "e2etrust/host-policy.d/compute.yaml").write_text(policy.render(cloud))


def pin_verifier(site: Site, keys: str) -> None:
    """The keys that the verifier is known by, on the controller and on each host."""
    cloud = site.cloud
    for etc in (cloud.etc, *(cloud.host_dir(host) / "etc" for host in HOSTS)):
        (etc / "e2etrust/verifier-keys.json").write_text(keys)


def _write(cloud: Cloud, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        creds.write_private(cloud.etc / path, text)


def _names() -> str:
    lines = ["127.0.0.1 localhost", f"{CONTROLLER_IP} controller"]
    lines += [f"{host.ip} {host.name}" for host in HOSTS]
    return "\n".join(lines) + "\n"
