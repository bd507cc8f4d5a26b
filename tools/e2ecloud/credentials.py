# SPDX-License-Identifier: Apache-2.0
"""Random passwords and keys, drawn anew for each cloud and kept in one file of mode 0600."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from e2ecloud.errors import NotRunning


@dataclass(frozen=True)
class Credentials:
    """Passwords by account; ``barbican_kek`` is base64 of 32 bytes."""

    database: str
    broker: str
    admin: str
    alice: str
    nova: str
    glance: str
    placement: str
    neutron: str
    barbican: str
    e2etrust: str
    barbican_kek: str

    def password(self, account: str) -> str:
        return str(getattr(self, account))


def draw() -> Credentials:
    """New credentials, 192 random bits each, safe in URLs and INI files."""
    values = {field.name: secrets.token_urlsafe(24) for field in fields(Credentials)}
    values["barbican_kek"] = base64.b64encode(secrets.token_bytes(32)).decode()
    return Credentials(**values)


def save(credentials: Credentials, path: Path) -> None:
    write_private(path, json.dumps(asdict(credentials), indent=1))


def load(path: Path) -> Credentials:
    """:raises NotRunning: when there is no cloud to have credentials for."""
    try:
        return Credentials(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise NotRunning(
            "the cloud is not up: it has no credentials", remedy="start it: tools/cloud up"
        ) from None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, never readable in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
