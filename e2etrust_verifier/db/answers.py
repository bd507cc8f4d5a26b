# SPDX-License-Identifier: Apache-2.0
"""Nonces that were answered: each is good for one answer, whichever worker gets it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc
from sqlalchemy.orm import Session

from e2etrust_verifier.db import at_end
from e2etrust_verifier.db.models import Answer

_USE = sa.insert(Answer)
_USED = sa.select(Answer.nonce_sha256).where(
    Answer.nonce_sha256.in_(sa.bindparam("digests", expanding=True))
)


class NonceUsed(Exception):
    """That nonce was answered before."""


def use(session: Session, nonce: bytes, expires_at: datetime) -> None:
    """Use *nonce* up when the transaction ends.

    The primary key decides: of two workers with the same nonce one writes the row.

    :raises NonceUsed: at the end: it was used before; the transaction is void.
    """
    row = {"nonce_sha256": _digest(nonce), "expires_at": expires_at}
    at_end.add(session, _use_all, row)


def used(session: Session, nonces: Iterable[bytes]) -> set[bytes]:
    """Return those of *nonces* that were used up before."""
    asked = {_digest(nonce): nonce for nonce in nonces}
    return {asked[digest] for digest in session.scalars(_USED, {"digests": list(asked)})}


def _use_all(session: Session, rows: list[dict[str, Any]]) -> None:
    try:
        session.connection().execute(_USE, rows)
    except db_exc.DBDuplicateEntry:
        raise NonceUsed from None


def _digest(nonce: bytes) -> str:
    return hashlib.sha256(nonce).hexdigest()


def forget_expired(session: Session, moment: datetime) -> None:
    """Forget nonces that ran out by *moment*: nobody takes them any more, see closed_nonces."""
    session.execute(sa.delete(Answer).where(Answer.expires_at <= moment))
