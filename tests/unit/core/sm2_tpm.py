# SPDX-License-Identifier: Apache-2.0
"""A TPM of the suite sm2-sm3 as an attacker would write it: keys in plain memory, an SM3 bank."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

from e2etrust_core.crypto.provider import N, Sm2PublicKey
from e2etrust_core.crypto.sm2_agreement import multiply
from e2etrust_core.evidence.model import PcrSelection, PcrValues, Quote
from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import encode_selection, qualified_name
from tests.unit.core.software_tpm import AK_ATTRIBUTES, EK_ATTRIBUTES, NULL

SM3, SM2_SCHEME, SM2_CURVE = uint(0x0012, 2), uint(0x001B, 2), uint(0x0020, 2)
SM4_128_CFB = uint(0x0013, 2) + uint(128, 2) + uint(0x0043, 2)


def sm3(data: bytes) -> bytes:
    return hashlib.new("sm3", data).digest()


def new_number() -> int:
    return secrets.randbelow(N - 2) + 1


def sm2_sign(private: int, e: bytes) -> tuple[int, int]:
    """GB/T 32918.2, 6.1 from step A3 on: a TPM signs e = H(attest) without Z_A."""
    while True:
        k = new_number()
        r = (int.from_bytes(e, "big") + multiply(k).x) % N
        s = pow(1 + private, -1, N) * (k - r * private) % N
        if r and s and r + k != N:
            return r, s


def sm2_public(point: Sm2PublicKey, attributes: int, middle: bytes) -> bytes:
    """TPMT_PUBLIC whose nameAlg is SM3; *middle*: symmetric and scheme."""
    unique = sized(point.x.to_bytes(32, "big")) + sized(point.y.to_bytes(32, "big"))
    head = uint(0x0023, 2) + SM3 + uint(attributes, 4) + sized(b"")
    return head + middle + SM2_CURVE + NULL + unique


@dataclass
class Sm2Tpm:
    ek: int = field(default_factory=new_number)
    ak: int = field(default_factory=new_number)
    pcrs: PcrValues = field(
        default_factory=lambda: {"sm3_256": {i: sm3(bytes([i])) for i in range(24)}}
    )

    @property
    def ek_public(self) -> bytes:
        return sm2_public(multiply(self.ek), EK_ATTRIBUTES, SM4_128_CFB + NULL)

    @property
    def ak_public(self) -> bytes:
        return sm2_public(multiply(self.ak), AK_ATTRIBUTES, NULL + SM2_SCHEME + SM3)

    def attest(self, qualifying: bytes, selection: PcrSelection) -> bytes:
        signer = qualified_name(self.ak_public, qualified_name(self.ek_public, uint(0x4000000B, 4)))
        values = b"".join(self.pcrs["sm3_256"][i] for i in selection["sm3_256"])
        clock = uint(1000, 8) + uint(5, 4) + uint(0, 4) + b"\1"
        head = uint(0xFF544347, 4) + uint(0x8018, 2) + sized(signer) + sized(qualifying) + clock
        return head + uint(0x2026, 8) + encode_selection(selection) + sized(sm3(values))

    def sign(self, attest: bytes) -> bytes:
        numbers = sm2_sign(self.ak, sm3(attest))
        return SM2_SCHEME + SM3 + b"".join(sized(one.to_bytes(32, "big")) for one in numbers)

    def quote(self, qualifying: bytes, selection: PcrSelection) -> Quote:
        attest = self.attest(qualifying, selection)
        values = {"sm3_256": {i: self.pcrs["sm3_256"][i] for i in selection["sm3_256"]}}
        return Quote(attest, self.sign(attest), values)
