# SPDX-License-Identifier: Apache-2.0
"""What the hook keeps of a launch between its steps: one private file a server, no keys in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2etrust_agent.client.private_files import private_directory, read_private, write_private
from e2etrust_core import wire
from e2etrust_core.launch import LaunchMeasurement

RUN_DIR = Path("/run/e2etrust/launches")
_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LaunchState:
    """A launch that passed ``prepare begin``; ``record`` is the verifier's signed record."""

    launch: str
    record: str
    measurement: LaunchMeasurement
    has_vtpm: bool
    sealed: bool


class LaunchStates:
    """The states below *directory*, by the server's UUID (checked by the domain's reader)."""

    def __init__(self, directory: Path = RUN_DIR) -> None:
        self._directory = directory

    def save(self, instance: str, state: LaunchState) -> None:
        """:raises StateError: it cannot be kept."""
        private_directory(self._directory)
        write_private(self._path(instance), wire.to_json(state))

    def load(self, instance: str) -> LaunchState | None:
        """:raises StateError, InputError: it is there and cannot be trusted or read."""
        try:
            return wire.from_json(LaunchState, read_private(self._path(instance), _LIMIT))
        except FileNotFoundError:
            return None

    def remove(self, instance: str) -> None:
        self._path(instance).unlink(missing_ok=True)

    def mark_incoming(self, instance: str) -> None:
        """Remember until the next ``prepare`` that the server arrives by migration or restore.

        :raises StateError: it cannot be kept.
        """
        private_directory(self._directory)
        write_private(self._incoming(instance), b"")

    def take_incoming(self, instance: str) -> bool:
        """Tell whether the server arrives by migration or restore, and forget it."""
        try:
            self._incoming(instance).unlink()
        except FileNotFoundError:
            return False
        return True

    def _incoming(self, instance: str) -> Path:
        return self._directory / f"{instance}.incoming"

    def _path(self, instance: str) -> Path:
        return self._directory / f"{instance}.json"
