# SPDX-License-Identifier: Apache-2.0
"""What credentials and duplicated objects share: a seed for one EK, and a blob under that seed.

TPM 2.0 Library Part 1: 11.4.10 (KDFa, KDFe), 24 (credential protection), 23.3 (duplication),
annexes B.10 and C.6 (sharing a seed by RSA-OAEP and by ECDH).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from e2etrust_core.crypto.provider import Sm2PublicKey
from e2etrust_core.crypto.sm2_agreement import agree
from e2etrust_core.errors import SuiteError
from e2etrust_core.evidence.errors import EkRefused
from e2etrust_core.evidence.tpm_bytes import sized
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
from e2etrust_core.suites import TPM_ALG_AES, TPM_ALG_CFB, Hash

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_SM2_SIZE = 32
_STORAGE_KEY = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | DECRYPT


def hash_of(name_hash: Hash) -> hashes.HashAlgorithm:
    """:raises SuiteError: that hash may not be a nameAlg here."""
    kind = _HASHES.get(name_hash.name)
    if kind is None:
        raise SuiteError(f"nameAlg {name_hash.name} cannot be used", remedy="use sha256")
    return kind()


@dataclass(frozen=True, slots=True)
class StorageKey:
    """An EK as a storage key: restricted, for decryption, fixed to its TPM, AES-CFB inside."""

    public: Public
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Sm2PublicKey
    symmetric: Symmetric
    hash: hashes.HashAlgorithm

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
        if symmetric is None or (symmetric.alg, symmetric.mode) != (TPM_ALG_AES, TPM_ALG_CFB):
            raise EkRefused("the endorsement key does not protect its children by AES-CFB")
        if symmetric.bits not in (128, 192, 256):
            raise EkRefused(f"the endorsement key asks for AES of {symmetric.bits} bits")
        return cls(public, public_key_of(public), symmetric, hash_of(public.name_hash))

    def new_seed(self, label: bytes) -> tuple[bytes, bytes]:
        """Return a fresh seed and what its TPM recovers it from (inside TPM2B_ENCRYPTED_SECRET).

        :param label: ``IDENTITY`` or ``DUPLICATE``, without the zero byte that ends it.
        """
        if isinstance(self.key, rsa.RSAPublicKey):
            seed = secrets.token_bytes(self.hash.digest_size)
            scheme = padding.OAEP(padding.MGF1(self.hash), self.hash, label + b"\0")
            return seed, self.key.encrypt(seed, scheme)
        if isinstance(self.key, Sm2PublicKey):
            shared, ours = agree(self.key)
            return self._agreed_seed(label, shared, (ours.x, ours.y), self.key.x, _SM2_SIZE)
        return self._ecdh_seed(self.key, label)

    def protect(self, seed: bytes, name: bytes, plain: bytes) -> bytes:
        """Return TPM2B(HMAC) || AES-CFB(*plain*): the outer wrap of an object of that name."""
        bits = self.symmetric.bits
        key = kdfa(self.hash, seed, b"STORAGE", name, bits)
        encryptor = Cipher(algorithms.AES(key), CFB(bytes(16))).encryptor()
        hidden = encryptor.update(plain) + encryptor.finalize()
        mac = hmac.HMAC(kdfa(self.hash, seed, b"INTEGRITY", b"", self._digest_bits), self.hash)
        mac.update(hidden + name)
        return sized(mac.finalize()) + hidden

    @property
    def _digest_bits(self) -> int:
        return self.hash.digest_size * 8

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
        seed = ConcatKDFHash(self.hash, self.hash.digest_size, info).derive(shared)
        return seed, sized(x) + sized(y)


def kdfa(
    digest: hashes.HashAlgorithm, key: bytes, label: bytes, context: bytes, bits: int
) -> bytes:
    """KDFa (Part 1, 11.4.10.2): SP 800-108 in counter mode over HMAC."""
    return KBKDFHMAC(
        algorithm=digest,
        mode=Mode.CounterMode,
        length=bits // 8,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=label,
        context=context,
        fixed=None,
    ).derive(key)
