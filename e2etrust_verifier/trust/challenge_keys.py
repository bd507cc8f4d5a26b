# SPDX-License-Identifier: Apache-2.0
"""Keys that challenges are authenticated by: made when needed, shared through the database.

A key draws challenges for :data:`DRAWS_FOR` and is forgotten soon after.  Whoever reads the
database can draw challenges in the verifier's name for as long, and no longer: an old backup is of
no use.

Clocks are set back at times.  So that no nonce comes to life again whose answer was forgotten, its
key says up to when it is closed, and answers are forgotten only when every worker has read that
(:mod:`e2etrust_verifier.housekeeping`).
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from e2etrust_verifier.db import challenge_keys
from e2etrust_verifier.db.database import Database

#: How long one key draws challenges.
DRAWS_FOR = timedelta(hours=1)
#: Bytes of a key's id and of the key.
ID_SIZE, SECRET_SIZE = 8, 32
#: A worker knows within so many seconds, by no clock that can be set, up to when keys are closed.
KNOWN_WITHIN = 20.0
#: Anybody can name a key that nobody has: seconds between looks into the database for one.
_LOOK_AGAIN = 0.2


@dataclass(frozen=True, slots=True)
class Key:
    id: bytes
    secret: bytes
    made_at: datetime
    closed_until: datetime | None = None


class ChallengeKeys:
    """What a worker knows of the keys.  Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[bytes, Key] = {}
        self._looked_at = float("-inf")

    def newest(self, db: Database, now: datetime) -> Key:
        """Return the key that draws challenges now; makes one where there is none."""
        with self._lock:
            self._look_at_times(db)
            key = self._drawing(now)
            if key is None:
                self._look(db)
                key = self._drawing(now)
            if key is None:
                key = _made(db, now)
                self._keys[key.id] = key
            return key

    def find(self, db: Database, key_id: bytes) -> Key | None:
        """Return the key of that id; another worker may just have made it."""
        with self._lock:
            self._look_at_times(db)
            key = self._keys.get(key_id)
            if key is None and time.monotonic() - self._looked_at > _LOOK_AGAIN:
                self._look(db)
                key = self._keys.get(key_id)
            return key

    def _drawing(self, now: datetime) -> Key | None:
        drawing = [key for key in self._keys.values() if _draws(key, now)]
        return max(drawing, key=lambda key: key.made_at, default=None)

    def _look_at_times(self, db: Database) -> None:
        if time.monotonic() - self._looked_at > KNOWN_WITHIN:
            self._look(db)

    def _look(self, db: Database) -> None:
        def work(session: Session) -> dict[bytes, Key]:
            rows = challenge_keys.everyone(session)
            keys = [Key(bytes.fromhex(r.id), r.secret, r.made_at, r.closed_until) for r in rows]
            return {key.id: key for key in keys}

        began = time.monotonic()
        self._keys = db.read(work)
        self._looked_at = began


def _draws(key: Key, now: datetime) -> bool:
    # One that is closed beyond now would draw nonces that nobody takes: the clock went back.
    is_open = key.closed_until is None or key.closed_until <= now
    return is_open and abs(now - key.made_at) < DRAWS_FOR


def _made(db: Database, now: datetime) -> Key:
    key = Key(secrets.token_bytes(ID_SIZE), secrets.token_bytes(SECRET_SIZE), now)
    db.write(lambda s: challenge_keys.add(s, key.id.hex(), key.secret, now))
    return key
