# SPDX-License-Identifier: Apache-2.0
"""What a provider of the Chinese algorithms must do, and the values it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from e2etrust_core.errors import E2ETrustError, EvidenceError

#: The curve of GB/T 32918.5, 2 (TPM_ECC_SM2_P256).
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
DIGEST_SIZE = 32
SM4_SIZE = 16


class OpinionsDiffer(E2ETrustError):
    """Two providers came to two answers: one of them is wrong, so neither is believed."""

    code = "CRYPTO_OPINIONS_DIFFER"
    remedy = "tell the operator: a cryptographic library of the verifier gives wrong answers"


class PointWrong(EvidenceError):
    """The numbers are no point of the SM2 curve."""

    code = "SM2_POINT_WRONG"


@dataclass(frozen=True, slots=True)
class Sm2PublicKey:
    """A point of the SM2 curve.

    :raises PointWrong: the numbers are none, so that no provider ever sees such a key.
    """

    x: int
    y: int

    def __post_init__(self) -> None:
        if not (0 <= self.x < P and 0 <= self.y < P):
            raise PointWrong("the numbers are not of the SM2 curve's field")
        if (self.y * self.y - (self.x * self.x * self.x - 3 * self.x + B)) % P:
            raise PointWrong("the point is not on the SM2 curve")

    @classmethod
    def of(cls, octets: bytes) -> Sm2PublicKey:
        """Return the point of these :attr:`octets`, 65 of them."""
        return cls(int.from_bytes(octets[1:33], "big"), int.from_bytes(octets[33:65], "big"))

    @property
    def octets(self) -> bytes:
        """The point uncompressed, 65 bytes (SEC 1, 2.3.3)."""
        return b"\x04" + self.x.to_bytes(32, "big") + self.y.to_bytes(32, "big")


class CryptoProvider(Protocol):
    """Verifies, hashes and decrypts; no provider signs or encrypts."""

    name: str

    def sm3(self, data: bytes) -> bytes:
        """Return the 32 bytes of SM3 (GB/T 32905)."""
        ...

    def sm2_verify(self, key: Sm2PublicKey, digest: bytes, r: int, s: int) -> bool:
        """Whether (*r*, *s*) signs *digest* (GB/T 32918.2, 7.1, from step B5 on).

        :param digest: e as 32 bytes, taken as it is: a TPM signs e = H(attest) without Z_A.
        :param r: and *s*: 1 to n - 1, as the caller has checked.
        """
        ...

    def sm4_decrypt(self, key: bytes, blocks: bytes) -> bytes:
        """Return the plain form of each block of 16 bytes by itself (GB/T 32907, 7.4).

        :param key: 16 bytes.
        :param blocks: whole ones, as the caller has checked; a mode of operation is the caller's.
        """
        ...
