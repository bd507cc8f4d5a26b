# SPDX-License-Identifier: Apache-2.0
"""A secret shared with the holder of an SM2 key by plain ECDH, made by the system's OpenSSL.

It is what a TPM does with an endorsement key on that curve (TPM 2.0 Library Part 1, C.6.1: one-pass
ECDH, cofactor 1); not the key agreement of GB/T 32918.3, and so nothing that OpenSSL offers for
keys of this curve: it is put together from points.
"""

from __future__ import annotations

import ctypes
import secrets

from e2etrust_core.crypto.libcrypto import libcrypto
from e2etrust_core.crypto.provider import N, Sm2PublicKey
from e2etrust_core.errors import SuiteError

_SIZE = 32
_POINT = 2 * _SIZE + 1
# openssl/obj_mac.h, openssl/ec.h
_NID_SM2 = 1172
_UNCOMPRESSED = 4


def agree(key: Sm2PublicKey) -> tuple[bytes, Sm2PublicKey]:
    """Return the x-coordinate (32 bytes) of a point shared with *key*'s holder, and our point.

    The key of ours is fresh and forgotten.

    :raises SuiteError: this machine's OpenSSL is missing or has no SM2 curve.
    """
    ours = secrets.randbelow(N - 1) + 1
    return multiply(ours, key).x.to_bytes(_SIZE, "big"), multiply(ours)


def multiply(number: int, point: Sm2PublicKey | None = None) -> Sm2PublicKey:
    """Return *number* (1 to n - 1) times *point*, or times the curve's generator.

    :raises SuiteError: this machine's OpenSSL is missing or has no SM2 curve.
    """
    lib = libcrypto()
    group = lib.EC_GROUP_new_by_curve_name(_NID_SM2)
    scalar = lib.BN_bin2bn(number.to_bytes(_SIZE, "big"), _SIZE, None)
    result = base = None
    out = ctypes.create_string_buffer(_POINT)
    try:
        if not group or not scalar:
            raise SuiteError("this OpenSSL has no SM2 curve")
        result = lib.EC_POINT_new(group)
        if point is None:
            done = lib.EC_POINT_mul(group, result, scalar, None, None, None)
        else:
            base = lib.EC_POINT_new(group)
            done = lib.EC_POINT_oct2point(group, base, point.octets, _POINT, None)
            done = done and lib.EC_POINT_mul(group, result, None, base, scalar, None)
        if (
            done != 1
            or lib.EC_POINT_point2oct(group, result, _UNCOMPRESSED, out, _POINT, None) != _POINT
        ):
            raise SuiteError("this OpenSSL does not calculate on the SM2 curve")
    finally:
        lib.EC_POINT_clear_free(base)
        lib.EC_POINT_clear_free(result)
        lib.BN_clear_free(scalar)
        lib.EC_GROUP_free(group)
        lib.ERR_clear_error()
    return Sm2PublicKey.of(out.raw)
