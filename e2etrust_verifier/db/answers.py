# SPDX-License-Identifier: Apache-2.0
"""Nonces that were answered: each is good for one answer, whichever worker gets it."""

from __future__ import annotations

import hashlib
from datetime import datetime

import sqlalchemy as sa
from oslo_db import exception as db_exc
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import Answer

_USE = sa.insert(Answer)


class NonceUsed(Exception):
    """That nonce was answered before."""


def use(session: Session, nonce: bytes, expires_at: datetime) -> None:
    """Use *nonce* up.

    The primary key decides: of two workers with the same nonce one writes the row.

    :raises NonceUsed: it was used before; the transaction is void.
    """
    digest = hashlib.sha256(nonce).hexdigest()
    try:
        session.connection().execute(_USE, {"nonce_sha256": digest, "expires_at": expires_at})
    except db_exc.DBDuplicateEntry:
        raise NonceUsed from None


def forget_expired(session: Session, moment: datetime) -> None:
    """Forget nonces that ran out by *moment*: nobody takes them any more, see closed_nonces."""
    session.execute(sa.delete(Answer).where(Answer.expires_at <= moment))
