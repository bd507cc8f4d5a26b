# SPDX-License-Identifier: Apache-2.0
"""Accounts, roles and the service catalogue, through keystone's own API.

Runs in the cloud's namespace: ``python -m e2ecloud.identity CREDENTIALS_FILE``; prints the ID of
the verifier's user as JSON. Everything is found or made, so a second run changes nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from e2ecloud import credentials as creds
from e2ecloud.config.shared import AUTH_URL
from e2ecloud.layout import CONTROLLER_IP, REGION

SERVICE_ROLES = {
    "nova": ("admin", "service", "member", "creator"),
    "glance": ("admin", "service"),
    "placement": ("admin", "service"),
    "neutron": ("admin", "service"),
    "barbican": ("admin", "service"),
    # What the verifier needs and no more: Placement's traits, tokens' checks, servers' owners.
    "e2etrust": ("service", "reader"),
}
TENANT_ROLES = ("member", "creator")
CATALOGUE = {
    "glance": ("image", f"http://{CONTROLLER_IP}:9292"),
    "placement": ("placement", f"http://{CONTROLLER_IP}:8778"),
    "neutron": ("network", f"http://{CONTROLLER_IP}:9696"),
    "nova": ("compute", f"http://{CONTROLLER_IP}:8774/v2.1"),
    "barbican": ("key-manager", f"http://{CONTROLLER_IP}:9311"),
    "e2etrust": ("attestation", f"http://{CONTROLLER_IP}:8797"),
}


class Keystone:
    """The few keystone v3 calls that a set-up needs, each find-or-make."""

    def __init__(self, password: str) -> None:
        from keystoneauth1 import session
        from keystoneauth1.identity import v3

        auth = v3.Password(
            AUTH_URL,
            username="admin",
            password=password,
            project_name="admin",
            user_domain_name="Default",
            project_domain_name="Default",
        )
        self._session = session.Session(auth=auth)

    def find_or_make(self, kind: str, name: str, **values: Any) -> str:
        """The ID of the ``kind`` (role, project, user, service) called ``name``."""
        path = f"{AUTH_URL}/{kind}s"
        for found in self._session.get(path, params={"name": name}).json()[f"{kind}s"]:
            if found["name"] == name:
                return str(found["id"])
        body = {kind: {"name": name, **values}}
        return str(self._session.post(path, json=body).json()[kind]["id"])

    def assign(self, project: str, user: str, role: str) -> None:
        self._session.put(f"{AUTH_URL}/projects/{project}/users/{user}/roles/{role}")

    def endpoints(self, service: str, url: str) -> None:
        path = f"{AUTH_URL}/endpoints"
        known = self._session.get(path, params={"service_id": service}).json()["endpoints"]
        for interface in {"public", "internal", "admin"} - {e["interface"] for e in known}:
            endpoint = {
                "service_id": service,
                "interface": interface,
                "region_id": REGION,
                "url": url,
            }
            self._session.post(path, json={"endpoint": endpoint})


def set_up(secrets: creds.Credentials) -> dict[str, str]:
    """Make everything; user name -> ID."""
    keystone = Keystone(secrets.admin)
    roles = {
        name: keystone.find_or_make("role", name)
        for name in ("admin", "service", "member", "reader", "creator")
    }
    projects = {
        name: keystone.find_or_make("project", name, domain_id="default")
        for name in ("admin", "service", "demo")
    }
    users = {}
    for name, wanted in {**SERVICE_ROLES, "alice": TENANT_ROLES}.items():
        project = projects["demo" if name == "alice" else "service"]
        users[name] = keystone.find_or_make(
            "user",
            name,
            password=secrets.password(name),
            domain_id="default",
            default_project_id=project,
        )
        for role in wanted:
            keystone.assign(project, users[name], roles[role])
    admin = keystone.find_or_make("user", "admin", domain_id="default")
    keystone.assign(projects["admin"], admin, roles["creator"])
    for name, (kind, url) in CATALOGUE.items():
        keystone.endpoints(keystone.find_or_make("service", name, type=kind), url)
    return users


if __name__ == "__main__":
    print(json.dumps(set_up(creds.load(Path(sys.argv[1])))))
