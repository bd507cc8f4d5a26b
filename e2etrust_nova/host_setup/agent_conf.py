# SPDX-License-Identifier: Apache-2.0
"""The agent's first configuration: name and message bus as nova-compute has them."""

from __future__ import annotations

from configparser import ConfigParser, Error
from pathlib import Path

_HEAD = """# Written by e2etrust-host-setup; yours from now on. All options: agent.conf.sample.
[DEFAULT]
"""
_BUS_MISSING = """# The message bus of the verifier, as in its own configuration.
#transport_url = rabbit://USER:PASSWORD@CONTROLLER:5672/
"""


def first(nova_conf: Path, verifier_keys: str | None) -> tuple[bytes, bool]:
    """Return a configuration, and whether it is whole: it is not where Nova's is not there.

    :param nova_conf: nova-compute's configuration.
    :param verifier_keys: file of the keys that the verifier is known by; None: of no key.
    """
    found = ConfigParser(interpolation=None, strict=False)
    try:
        found.read(nova_conf, encoding="utf-8")
    except (Error, OSError, UnicodeDecodeError):
        found = ConfigParser(interpolation=None, strict=False)
    defaults = found.defaults()
    name, bus = defaults.get("host"), defaults.get("transport_url")
    lines = _HEAD
    lines += f"host = {name}\n" if name else ""
    lines += f"transport_url = {bus}\n" if bus else _BUS_MISSING
    lines += f"[agent]\nverifier_keys = {verifier_keys}\n" if verifier_keys else ""
    return lines.encode(), bool(bus)
