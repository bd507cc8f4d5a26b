# SPDX-License-Identifier: Apache-2.0
"""A TPM as an attacker would write it: signs whatever it is told, with keys in plain memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from e2etrust_core.evidence.model import GuestIdentity, PcrSelection, PcrValues, Quote
from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import encode_selection, qualified_name

AK_ATTRIBUTES = 0x00050072
EK_ATTRIBUTES = 0x000300B2
SHA256 = uint(0x000B, 2)
NULL = uint(0x0010, 2)


def ecc_public(key: ec.EllipticCurvePrivateKey, attributes: int, middle: bytes) -> bytes:
    """*middle*: symmetric and scheme."""
    point = key.public_key().public_numbers()
    unique = sized(point.x.to_bytes(32, "big")) + sized(point.y.to_bytes(32, "big"))
    head = uint(0x0023, 2) + SHA256 + uint(attributes, 4) + sized(b"")
    return head + middle + uint(3, 2) + NULL + unique


@dataclass
class SoftwareTpm:
    ek: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    ak: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    ak_attributes: int = AK_ATTRIBUTES
    pcrs: PcrValues = field(
        default_factory=lambda: {
            "sha256": {i: hashlib.sha256(bytes([i])).digest() for i in range(24)},
            "sha1": {i: hashlib.sha1(bytes([i])).digest() for i in range(24)},
        }
    )
    clock: int = 1000
    reset_count: int = 5
    restart_count: int = 0

    @property
    def ek_public(self) -> bytes:
        aes = uint(0x0006, 2) + uint(128, 2) + uint(0x0043, 2)
        return ecc_public(self.ek, EK_ATTRIBUTES, aes + NULL)

    @property
    def ak_public(self) -> bytes:
        return ecc_public(self.ak, self.ak_attributes, NULL + uint(0x0018, 2) + SHA256)

    @property
    def identity(self) -> GuestIdentity:
        return GuestIdentity(self.ek_public, self.ak_public)

    @property
    def qualified_signer(self) -> bytes:
        return qualified_name(self.ak_public, qualified_name(self.ek_public, uint(0x4000000B, 4)))

    def attest(
        self,
        qualifying: bytes,
        selection: PcrSelection,
        *,
        magic: int = 0xFF544347,
        kind: int = 0x8018,
        digest: bytes | None = None,
        signer: bytes | None = None,
        raw_selection: bytes | None = None,
    ) -> bytes:
        banks = sorted(selection, key=["sha1", "sha256"].index)
        values = b"".join(self.pcrs[bank][i] for bank in banks for i in selection[bank])
        return (
            uint(magic, 4)
            + uint(kind, 2)
            + sized(self.qualified_signer if signer is None else signer)
            + sized(qualifying)
            + uint(self.clock, 8)
            + uint(self.reset_count, 4)
            + uint(self.restart_count, 4)
            + b"\1"
            + uint(0x2026, 8)
            + (encode_selection(selection) if raw_selection is None else raw_selection)
            + sized(hashlib.sha256(values).digest() if digest is None else digest)
        )

    def sign(self, attest: bytes) -> bytes:
        r, s = decode_dss_signature(self.ak.sign(attest, ec.ECDSA(hashes.SHA256())))
        return (
            uint(0x0018, 2) + SHA256 + sized(r.to_bytes(32, "big")) + sized(s.to_bytes(32, "big"))
        )

    def selected(self, selection: PcrSelection) -> PcrValues:
        return {bank: {i: self.pcrs[bank][i] for i in ix} for bank, ix in selection.items()}

    def quote(self, qualifying: bytes, selection: PcrSelection) -> Quote:
        attest = self.attest(qualifying, selection)
        return Quote(attest, self.sign(attest), self.selected(selection))
