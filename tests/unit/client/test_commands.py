# SPDX-License-Identifier: Apache-2.0
"""Every command of ours can be loaded from its entry point and builds its parser."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

_COMMANDS = {e.name: e for e in entry_points(group="openstack.attestation.v1")}


def test_the_commands_are_registered():
    assert {
        "attestation_server_verify",
        "attestation_server_show",
        "attestation_host_list",
        "attestation_host_history",
        "attestation_host_approve",
        "attestation_host_revoke",
        "attestation_host_delete",
        "attestation_host_enrol",
        "attestation_host_inventory_list",
        "attestation_host_inventory_delete",
        "sealed_image_create",
        "sealed_image_upload",
    } <= set(_COMMANDS)


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_command_explains_itself(name):
    command = _COMMANDS[name].load()(None, None)
    assert name.split("_")[-1] in command.get_parser(f"openstack {name}").format_help()
