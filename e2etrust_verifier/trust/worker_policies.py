# SPDX-License-Identifier: Apache-2.0
"""Which policies each worker has, as its heartbeat tells: several verifiers have to have the same.

A policy is named by its edition, the digest of its text and of the files that it names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from e2etrust_core import wire
from e2etrust_core.errors import InputError
from e2etrust_verifier.db import workers
from e2etrust_verifier.trust.policies import PolicyFile, PolicyStore


@dataclass(frozen=True, slots=True)
class Held:
    """A file of a worker's directory; ``edition`` is empty where it cannot be read."""

    file: str
    edition: str


@dataclass(frozen=True, slots=True)
class AtWorkers:
    """``told``: live workers that say what they have; ``sets``: how many different directories
    they have, 0 where none told."""

    told: int
    sets: int
    held: tuple[frozenset[Held], ...] = ()

    def having(self, file: PolicyFile) -> int:
        """Return how many of them have this very policy."""
        return sum(_held(file) in one for one in self.held)


def tell(store: PolicyStore) -> str:
    """Return what the directory of *store* holds now, for the worker's row."""
    return wire.to_json([_held(one) for one in store.files()]).decode()


def at_workers(session: Session, now: datetime) -> AtWorkers:
    """Return what live workers have."""
    found = tuple(_read(workers.policies_alive(session, now)))
    return AtWorkers(len(found), len(set(found)), found)


def _held(file: PolicyFile) -> Held:
    return Held(file.name, file.timed.at(None).edition if file.timed is not None else "")


def _read(rows: Iterable[str]) -> Iterable[frozenset[Held]]:
    for row in rows:
        try:
            yield frozenset(wire.from_json(list[Held], row))
        except InputError:
            yield frozenset({Held("", row)})  # of another release: other than all it is
