# SPDX-License-Identifier: Apache-2.0
"""Which room may import which: the table of the architecture, held by reading every import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Room -> what of ours it may import, besides itself.
MAY_IMPORT = {
    "e2etrust_core": (),
    "e2etrust_agent": ("e2etrust_core",),
    "e2etrust_verifier": ("e2etrust_core",),
    "e2etrust_client": ("e2etrust_core",),
    "e2etrust_nova": ("e2etrust_core", "e2etrust_agent.client"),
}
#: What the pure library must not know: OpenStack, libvirt, network, database.
NOT_IN_CORE = {
    "castellan",
    "falcon",
    "glanceclient",
    "http",
    "keystoneauth1",
    "keystonemiddleware",
    "libvirt",
    "nova",
    "openstack",
    "osc_lib",
    "oslo_config",
    "oslo_db",
    "oslo_log",
    "oslo_messaging",
    "oslo_policy",
    "requests",
    "socket",
    "sqlalchemy",
    "urllib",
}


def imports_of(source: str, package: str) -> Iterator[str]:
    """Yield the dotted name of every import anywhere in *source*, relative ones resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: -node.level + 1 or None] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            # `from e2etrust_agent import client` names a module of the package.
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_within(name: str, allowed: str) -> bool:
    return name == allowed or name.startswith(f"{allowed}.")


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def package_of(module: Path) -> str:
    return ".".join(module.relative_to(ROOT).parent.parts)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_what_the_table_lets_it(room):
    allowed = (room, *MAY_IMPORT[room])
    faults = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules(room)
        for name in imports_of(module.read_text(), package_of(module))
        if name.startswith("e2etrust_") and not any(is_within(name, ok) for ok in allowed)
    ]
    assert modules(room)
    assert faults == []


def test_core_knows_no_openstack_libvirt_network_or_database():
    faults = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules("e2etrust_core")
        for name in imports_of(module.read_text(), package_of(module))
        if name.split(".")[0] in NOT_IN_CORE
    ]
    assert faults == []


def test_only_agents_need_what_the_extra_host_brings():
    """Verifier, tenants and Nova's services install without a compiler."""
    compiled = ("tpm2_pytss", "libvirt", "libvirt_qemu", "e2etrust_core.tpm")
    faults = [
        f"{module.relative_to(ROOT)} imports {name}"
        for room in MAY_IMPORT
        if room != "e2etrust_agent"
        for module in modules(room)
        if "e2etrust_core/tpm" not in str(module)
        for name in imports_of(module.read_text(), package_of(module))
        if any(is_within(name, one) for one in compiled)
    ]
    assert faults == []


def test_migrations_stand_alone():
    """What a migration did stays what it does, however the models change."""
    faults = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules("e2etrust_verifier/db/migrations/versions")
        for name in imports_of(module.read_text(), package_of(module))
        if name.startswith("e2etrust_") and not is_within(name, "e2etrust_verifier.db.columns")
    ]
    assert faults == []


def test_every_room_of_ours_is_in_the_table():
    assert {path.parent.name for path in ROOT.glob("e2etrust_*/__init__.py")} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import e2etrust_verifier.db as d", ["e2etrust_verifier.db"]),
        ("def f():\n    from e2etrust_verifier import db", ["e2etrust_verifier.db"]),
        ("from ..disk import model", ["e2etrust_nova.disk.model"]),
        ("from . import model", ["e2etrust_nova.hook.model"]),
    ],
)
def test_reader_sees_every_form_of_import(source, names):
    assert list(imports_of(source, "e2etrust_nova.hook")) == names
