# SPDX-License-Identifier: Apache-2.0
"""Hashes by name as objects of :mod:`hashlib`'s kind; SM3 is the providers'.

Who needs a hash whose name comes from elsewhere takes it here or by :func:`.digest_of`, never from
:mod:`hashlib`, which knows nothing of a second opinion (held by tests/unit/test_second_opinion.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol, cast

from e2etrust_core.crypto.provider import DIGEST_SIZE
from e2etrust_core.crypto.selection import digest_of


class HashObject(Protocol):
    """What :mod:`hmac` and we need of a hash."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...

    def copy(self) -> HashObject: ...


class Sm3:
    """SM3 (GB/T 32905) of all that it was given; each digest is asked of the providers."""

    name = "sm3"
    digest_size = DIGEST_SIZE
    block_size = 64

    def __init__(self, data: bytes = b"") -> None:
        self._data = bytearray(data)

    def update(self, data: bytes, /) -> None:
        self._data += data

    def digest(self) -> bytes:
        """:raises OpinionsDiffer: two providers came to two digests."""
        return digest_of(self.name, bytes(self._data))

    def copy(self) -> Sm3:
        return Sm3(bytes(self._data))


def constructor(hash_name: str) -> Callable[..., HashObject]:
    """Return what makes hashes of that name, to be called with the first bytes or without.

    :param hash_name: as hashlib names it (``sm3``, ``sha256``).
    """
    if hash_name == Sm3.name:
        return Sm3
    return cast(Callable[..., HashObject], getattr(hashlib, hash_name))
