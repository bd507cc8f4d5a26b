# SPDX-License-Identifier: Apache-2.0
"""Thousands of small hashes, and the chain that a PCR makes of them, at the least cost in Python.

A new hash object looks its algorithm up in OpenSSL; a copy of an empty one does not, and that is a
tenth of a small hash.  SM3 goes through the providers, as it does everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from e2etrust_core.crypto import constructor, digest_of


def hash_each(hash_name: str, data: Iterable[bytes]) -> list[bytes]:
    """Return the digest of each of *data*.

    :param hash_name: as hashlib names it (``sm3``, ``sha256``).
    :raises OpinionsDiffer: two crypto providers come to two digests.
    """
    copy, made = constructor(hash_name)().copy, []
    for one in data:
        hashing = copy()
        hashing.update(one)
        made.append(hashing.digest())
    return made


def chain_end(hash_name: str, value: bytes, digests: Iterable[bytes]) -> bytes:
    """Return what a PCR of *value* holds after all of *digests* were extended into it.

    TPM 2.0 Library Part 1, 17: new = H(old || digest).

    :raises OpinionsDiffer: as :func:`hash_each`.
    """
    copy = constructor(hash_name)().copy
    for digest in digests:
        hashing = copy()
        hashing.update(value + digest)
        value = hashing.digest()
    return value


def chain_values(hash_name: str, value: bytes, digests: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the PCR holds before the first of *digests* and after each one."""
    yield value
    for digest in digests:
        value = digest_of(hash_name, value + digest)
        yield value
