# SPDX-License-Identifier: Apache-2.0
"""Every command of ours says in its help what it does, what it takes and what it answers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest
from cliff.display import DisplayCommandBase

_COMMANDS = {e.name: e for e in entry_points(group="openstack.attestation.v1")}
#: The others are cliff's, of every command that answers something.
_OURS = ("positional arguments", "options")


@pytest.fixture(params=sorted(_COMMANDS))
def command(request):
    return _COMMANDS[request.param].load()(None, None)


def _taken(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for group in parser._action_groups:
        if group.title in _OURS:
            yield from group._group_actions


def test_the_commands_are_registered():
    assert {
        "attestation_server_verify",
        "attestation_host_list",
        "attestation_host_enrol",
        "attestation_policy_test",
        "sealed_image_create",
    } <= set(_COMMANDS)


def test_help_says_what_the_command_does_and_what_it_takes(command):
    parser = command.get_parser("openstack")
    assert len(parser.description.split("\n")[0].split()) >= 4
    for one in _taken(parser):
        name = one.metavar or one.dest
        assert len((one.help or "").split()) >= 2, name
        if one.nargs != 0 and one.choices is None:
            assert (one.metavar or "")[:1] == "<", name
        if one.default and one.nargs != 0 and one.default != argparse.SUPPRESS:
            assert "default: " in one.help, name


def test_help_says_what_each_field_of_the_answer_is(command):
    if not isinstance(command, DisplayCommandBase):
        return
    told = command.get_parser("openstack").format_help()
    assert command.FIELDS
    for name, text in command.FIELDS.items():
        assert f"\n{name}\n  {text}\n" in told
        assert len(text.split()) >= 1


def test_moments_numbers_of_time_and_sizes_have_their_unit(command):
    units = {"seconds": "second", "size": "bytes", "at": "ISO 8601", "since": "ISO 8601"}
    for name, text in getattr(command, "FIELDS", {}).items():
        last = name.lower().replace("_", " ").split()[-1]
        assert units.get(last, "") in text, name
