# SPDX-License-Identifier: Apache-2.0
"""Which provider a process uses, and the checks that go through it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from e2etrust_core.crypto.provider import (
    DIGEST_SIZE,
    SM4_SIZE,
    CryptoProvider,
    N,
    OpinionsDiffer,
    Sm2PublicKey,
)
from e2etrust_core.errors import InputError, SuiteError

NAMESPACE = "e2etrust.crypto"
DEFAULT = "openssl"

T = TypeVar("T")
_lock = threading.Lock()
_selected: tuple[CryptoProvider, ...] = ()


def select(provider: str = DEFAULT, second_opinion: str = "") -> None:
    """Choose the process's provider.

    :param second_opinion: another provider that every SM2, SM3 and SM4 answer is got from as
        well, empty for none.
    :raises SuiteError: no such provider, or twice the same one.
    """
    if provider == second_opinion:
        raise SuiteError(f"the second opinion is {provider} too: that is none")
    names = [provider, second_opinion] if second_opinion else [provider]
    loaded = tuple(_load(name) for name in names)
    global _selected
    with _lock:
        _selected = loaded


def selected() -> tuple[CryptoProvider, ...]:
    """Return the provider, and the second one where there is one."""
    if not _selected:
        select()
    return _selected


def digest_of(hash_name: str, data: bytes) -> bytes:
    """Return the digest of *data*; SM3 goes through the providers.

    :param hash_name: as hashlib names it (``sm3``, ``sha256``).
    :raises OpinionsDiffer: two providers came to two digests.
    """
    if hash_name != "sm3":
        return hashlib.new(hash_name, data).digest()
    return _agreed("SM3", lambda provider: provider.sm3(data))


def sm2_verify(key: Sm2PublicKey, digest: bytes, r: int, s: int) -> bool:
    """Whether (*r*, *s*) is *key*'s SM2 signature of *digest* (GB/T 32918.2, 7.1).

    :param digest: e as 32 bytes, without or with Z_A as the signer made it.
    :raises OpinionsDiffer: one provider says yes and the other no.
    """
    if len(digest) != DIGEST_SIZE or not (0 < r < N and 0 < s < N) or (r + s) % N == 0:
        return False
    return _agreed("SM2", lambda provider: provider.sm2_verify(key, digest, r, s))


def sm4_decrypt(key: bytes, blocks: bytes) -> bytes:
    """Return the plain form of each block of 16 bytes by itself (GB/T 32907, 7.4).

    :raises InputError: a key that is none, or a part of a block.
    :raises OpinionsDiffer: two providers came to two answers.
    """
    if len(key) != SM4_SIZE or len(blocks) % SM4_SIZE:
        raise InputError(f"SM4 takes a key and blocks of {SM4_SIZE} bytes")
    return _agreed("SM4", lambda provider: provider.sm4_decrypt(key, blocks))


def _agreed(what: str, ask: Callable[[CryptoProvider], T]) -> T:
    providers = selected()
    first = ask(providers[0])
    if any(ask(other) != first for other in providers[1:]):
        names = " and ".join(provider.name for provider in providers)
        raise OpinionsDiffer(f"{names} come to different answers in an {what} check")
    return first


def _load(name: str) -> CryptoProvider:
    # Here and not above: whoever only decodes structures does not pay for the import.
    from stevedore import driver, exception

    try:
        manager: Any = driver.DriverManager(NAMESPACE, name, invoke_on_load=True)
    except (exception.NoMatches, ImportError, RuntimeError) as exc:
        raise SuiteError(
            f"no crypto provider {name!r} can be loaded",
            remedy=f"install its package, or name another of entry point group {NAMESPACE}",
        ) from exc
    return cast(CryptoProvider, manager.driver)
