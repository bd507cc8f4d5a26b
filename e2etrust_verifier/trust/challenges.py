# SPDX-License-Identifier: Apache-2.0
"""Challenges that need no row until they are answered.

A nonce carries all that the verifier has to remember of it, authenticated by a key that the
workers share (:mod:`.challenge_keys`): for whom and for what it was drawn, when, what was asked,
and what was known of the host then.  Its holder can read it and alter nothing; random bytes keep
it from being foreseen.  Asking for challenges therefore costs no memory, whoever asks and however
often, and pushes nobody's out.  The one answer it is good for writes its hash down
(:mod:`e2etrust_verifier.db.answers`).

Layout: version (1 byte), key id (8), JSON of :class:`Drawn`, HMAC-SHA-256 of all before (32).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from e2etrust_core import wire
from e2etrust_core.errors import InputError
from e2etrust_verifier.db.leases import CLOCKS_AGREE
from e2etrust_verifier.db.models import HostState
from e2etrust_verifier.trust import standing
from e2etrust_verifier.trust.challenge_keys import ID_SIZE, Key
from e2etrust_verifier.trust.surroundings import Surroundings

_VERSION = b"\1"
_PURPOSE = b"e2etrust challenge\0"
_MAC_SIZE = 32
_RANDOM_SIZE = 16
#: No nonce of ours is longer, the list of required IMA entries that were met included.
_LONGEST = 256 * 1024


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a challenge was drawn for.

    The counters and ``ima`` are those known when it was drawn: evidence for it is younger than they
    are, in whatever order answers arrive.  ``policy`` is the fingerprint of the policy whose
    questions it asks, ``lease_id`` the host's lease then.
    """

    host: str
    purpose: str
    policy: str
    issued_at: datetime
    expires_at: datetime
    random: bytes
    lease_id: str | None = None
    clock: int | None = None
    reset_count: int | None = None
    restart_count: int | None = None
    ima: str | None = None


def draw(
    around: Surroundings,
    host: str,
    purpose: str,
    policy: str,
    state: HostState | None,
    *,
    ima: bool,
) -> tuple[bytes, Drawn]:
    """Draw a nonce for one answer of *host*, which stands as *state* says.

    :param policy: the fingerprint of what it has to prove.
    :param ima: whether its IMA list is asked for.
    """
    now = around.now()
    known = state or HostState()
    drawn = Drawn(
        host=host,
        purpose=purpose,
        policy=policy,
        issued_at=now,
        expires_at=now + timedelta(seconds=around.settings.nonce_lifetime),
        random=secrets.token_bytes(_RANDOM_SIZE),
        lease_id=known.lease_id if standing.has_lease(state, now) else None,
        clock=known.clock,
        reset_count=known.reset_count,
        restart_count=known.restart_count,
        ima=known.ima if ima else None,
    )
    key = around.challenge_keys.newest(around.db, now)
    body = _VERSION + key.id + wire.to_json(drawn)
    return body + _mac(key, body), drawn


def read(around: Surroundings, nonce: bytes, host: str, purpose: str) -> Drawn | None:
    """Return what *nonce* was drawn for; None where it is not ours, not theirs or too old.

    Whether it was answered before is not asked here.
    """
    body, mac = nonce[:-_MAC_SIZE], nonce[-_MAC_SIZE:]
    if not body.startswith(_VERSION) or len(nonce) > _LONGEST:
        return None
    key = around.challenge_keys.find(around.db, body[1 : 1 + ID_SIZE])
    if key is None or not hmac.compare_digest(_mac(key, body), mac):
        return None
    try:
        drawn = wire.from_json(Drawn, body[1 + ID_SIZE :])
    except InputError:
        return None
    asked = (drawn.host, drawn.purpose) == (host, purpose)
    return drawn if asked and _is_open(drawn, key, around.now()) else None


def _is_open(drawn: Drawn, key: Key, now: datetime) -> bool:
    """Whether it is time to answer: the clock may have been set since the nonce was drawn."""
    forgotten = key.closed_until is not None and drawn.expires_at <= key.closed_until
    return not forgotten and drawn.issued_at <= now + CLOCKS_AGREE and now < drawn.expires_at


def _mac(key: Key, body: bytes) -> bytes:
    return hmac.digest(key.secret, _PURPOSE + body, hashlib.sha256)
