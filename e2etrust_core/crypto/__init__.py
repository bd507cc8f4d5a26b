# SPDX-License-Identifier: Apache-2.0
"""The Chinese algorithms behind one small interface: SM2 signatures, SM3 digests, SM4 blocks.

Providers are plugins of the entry point group ``e2etrust.crypto``; :func:`select` chooses one for
the process, and a second whose opinion must agree.
"""

from e2etrust_core.crypto.hash_object import constructor
from e2etrust_core.crypto.provider import CryptoProvider, OpinionsDiffer, Sm2PublicKey
from e2etrust_core.crypto.selection import (
    NAMESPACE,
    digest_of,
    select,
    selected,
    sm2_verify,
    sm4_decrypt,
)

__all__ = [
    "NAMESPACE",
    "CryptoProvider",
    "OpinionsDiffer",
    "Sm2PublicKey",
    "constructor",
    "digest_of",
    "select",
    "selected",
    "sm2_verify",
    "sm4_decrypt",
]
