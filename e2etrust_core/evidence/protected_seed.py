# SPDX-License-Identifier: Apache-2.0
"""What credentials and duplicated objects share: a seed for one EK, and a blob under that seed.

TPM 2.0 Library Part 1: 11.4.10 (KDFa, KDFe), 24 (credential protection), 23.3 (duplication),
annexes B.10 and C.6 (sharing a seed by RSA-OAEP and by ECDH).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from e2etrust_core.crypto import constructor, digest_of
from e2etrust_core.crypto.provider import Sm2PublicKey
from e2etrust_core.crypto.sm2_agreement import agree
from e2etrust_core.crypto.sm4_cfb import sm4_cfb_encrypt
from e2etrust_core.errors import SuiteError
from e2etrust_core.evidence.errors import EkRefused
from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import (
    DECRYPT,
    FIXED_PARENT,
    FIXED_TPM,
    RESTRICTED,
    SENSITIVE_DATA_ORIGIN,
    SIGN,
    Public,
    Symmetric,
    decode_public,
    public_key_of,
)
from e2etrust_core.suites import TPM_ALG_AES, TPM_ALG_CFB, TPM_ALG_SM4, Hash

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
#: The block ciphers that an EK may protect with, and their key sizes in bits.
_CIPHERS = {TPM_ALG_AES: (128, 192, 256), TPM_ALG_SM4: (128,)}
_SM2_SIZE = 32
_LEAST_DIGEST = 32
_STORAGE_KEY = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | DECRYPT


def hash_of(name_hash: Hash) -> hashes.HashAlgorithm:
    """:raises SuiteError: that hash may not be a nameAlg here."""
    kind = _HASHES.get(name_hash.name)
    if kind is None:
        raise SuiteError(f"nameAlg {name_hash.name} cannot be used", remedy="use sha256")
    return kind()


@dataclass(frozen=True, slots=True)
class StorageKey:
    """An EK as a storage key: restricted, for decryption, fixed to its TPM, AES or SM4 inside."""

    public: Public
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Sm2PublicKey
    symmetric: Symmetric
    hash: Hash

    @classmethod
    def decode(cls, ek_public: bytes) -> StorageKey:
        """:raises StructureError: no public area.
        :raises EkRefused, SuiteError: of a kind that nothing is encrypted to.
        """
        public = decode_public(ek_public)
        attributes = public.attributes
        if attributes & _STORAGE_KEY != _STORAGE_KEY or attributes & SIGN:
            raise EkRefused("the key is no storage key that is fixed to a TPM")
        symmetric = public.symmetric
        if symmetric is None or symmetric.alg not in _CIPHERS or symmetric.mode != TPM_ALG_CFB:
            raise EkRefused("the endorsement key does not protect its children by AES- or SM4-CFB")
        if symmetric.bits not in _CIPHERS[symmetric.alg]:
            raise EkRefused(f"the endorsement key asks for a cipher key of {symmetric.bits} bits")
        if public.name_hash.size < _LEAST_DIGEST:
            raise SuiteError(f"nameAlg {public.name_hash.name} cannot be used", remedy="use sha256")
        return cls(public, public_key_of(public), symmetric, public.name_hash)

    def new_seed(self, label: bytes) -> tuple[bytes, bytes]:
        """Return a fresh seed and what its TPM recovers it from (inside TPM2B_ENCRYPTED_SECRET).

        :param label: ``IDENTITY`` or ``DUPLICATE``, without the zero byte that ends it.
        """
        if isinstance(self.key, rsa.RSAPublicKey):
            seed, digest = secrets.token_bytes(self.hash.size), hash_of(self.hash)
            scheme = padding.OAEP(padding.MGF1(digest), digest, label + b"\0")
            return seed, self.key.encrypt(seed, scheme)
        if isinstance(self.key, Sm2PublicKey):
            shared, ours = agree(self.key)
            return self._agreed_seed(label, shared, (ours.x, ours.y), self.key.x, _SM2_SIZE)
        return self._ecdh_seed(self.key, label)

    def protect(self, seed: bytes, name: bytes, plain: bytes) -> bytes:
        """Return TPM2B(HMAC) || CFB(*plain*): the outer wrap of an object of that name.

        :raises OpinionsDiffer: two crypto providers are asked of SM3 or SM4 and do not agree.
        """
        key = kdfa(self.hash, seed, b"STORAGE", name, self.symmetric.bits)
        hidden = self._hide(key, plain)
        integrity = kdfa(self.hash, seed, b"INTEGRITY", b"", self.hash.size * 8)
        return sized(_hmac(self.hash, integrity, hidden + name)) + hidden

    def _hide(self, key: bytes, plain: bytes) -> bytes:
        if self.symmetric.alg == TPM_ALG_SM4:
            return sm4_cfb_encrypt(key, plain)
        encryptor = Cipher(algorithms.AES(key), CFB(bytes(16))).encryptor()
        return encryptor.update(plain) + encryptor.finalize()

    def _ecdh_seed(self, key: ec.EllipticCurvePublicKey, label: bytes) -> tuple[bytes, bytes]:
        ephemeral = ec.generate_private_key(key.curve)
        size = (key.curve.key_size + 7) // 8
        ours, theirs = ephemeral.public_key().public_numbers(), key.public_numbers()
        shared = ephemeral.exchange(ec.ECDH(), key)
        return self._agreed_seed(label, shared, (ours.x, ours.y), theirs.x, size)

    def _agreed_seed(
        self, label: bytes, shared: bytes, ours: tuple[int, int], their_x: int, size: int
    ) -> tuple[bytes, bytes]:
        """Return KDFe of the *shared* x-coordinate (Part 1, 11.4.10.3), and our point."""
        x, y = (number.to_bytes(size, "big") for number in ours)
        info = label + b"\0" + x + their_x.to_bytes(size, "big")
        seed = digest_of(self.hash.hashlib_name, uint(1, 4) + shared + info)
        return seed, sized(x) + sized(y)


def kdfa(name_hash: Hash, key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """KDFa (Part 1, 11.4.10.2): SP 800-108 in counter mode over HMAC."""
    out = b""
    for number in range(1, -(-bits // (name_hash.size * 8)) + 1):
        block = uint(number, 4) + label + b"\0" + context + uint(bits, 4)
        out += _hmac(name_hash, key, block)
    return out[: bits // 8]


def _hmac(name_hash: Hash, key: bytes, data: bytes) -> bytes:
    # By a hash of ours, so that HMAC over SM3 has its second opinion too.
    made: Any = constructor(name_hash.hashlib_name)
    return hmac.new(key, data, made).digest()
