# SPDX-License-Identifier: Apache-2.0
"""SM2 signatures over SM3 (GB/T 32918.2), made by the system's OpenSSL.

The private key is kept as PKCS #8; each signature loads it into an object of its own, so threads
need no lock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from e2etrust_core.crypto.libcrypto import libcrypto
from e2etrust_core.crypto.provider import B, OpinionsDiffer, P, Sm2PublicKey
from e2etrust_core.crypto.selection import digest_of, sm2_verify
from e2etrust_core.errors import InputError, SuiteError

#: The identity that signers and verifiers share where nothing else is agreed (GM/T 0009, 10).
DEFAULT_ID = b"1234567812345678"
_A = P - 3
# GB/T 32918.5, 2.
_GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
_GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0
_SIZE = 32
_LONGEST_SIGNATURE = 80
_LONGEST_KEY = 4096


def message_digest(key: Sm2PublicKey, message: bytes, identity: bytes = DEFAULT_ID) -> bytes:
    """Return e = SM3(Z_A || message), what is signed (GB/T 32918.2, 5.5 and 6.1)."""
    numbers = (_A, B, _GX, _GY, key.x, key.y)
    z = (len(identity) * 8).to_bytes(2, "big") + identity
    z += b"".join(number.to_bytes(_SIZE, "big") for number in numbers)
    return digest_of("sm3", digest_of("sm3", z) + message)


class Sm2PrivateKey:
    """A private key of the SM2 curve.

    :param pkcs8: DER of RFC 5208, as ``openssl genpkey -algorithm SM2`` makes it.
    :raises InputError: it is no such key.
    :raises SuiteError: this machine's OpenSSL is missing or has no SM2.
    """

    def __init__(self, pkcs8: bytes) -> None:
        self.pkcs8 = pkcs8
        with self._loaded() as (lib, handle):
            point = _octets(lib, handle, b"pub", 2 * _SIZE + 1)
        self.public = Sm2PublicKey.of(point)

    def sign(self, message: bytes) -> bytes:
        """Return r and s, 32 bytes each, of the signature of *message*.

        :raises OpinionsDiffer: a provider does not take the signature, so it is not given out.
        """
        digest = message_digest(self.public, message)
        out = ctypes.create_string_buffer(_LONGEST_SIGNATURE)
        length = ctypes.c_size_t(_LONGEST_SIGNATURE)
        with self._loaded() as (lib, handle):
            context = lib.EVP_PKEY_CTX_new(handle, None)
            try:
                if (
                    not context
                    or lib.EVP_PKEY_sign_init(context) != 1
                    or lib.EVP_PKEY_sign(context, out, ctypes.byref(length), digest, _SIZE) != 1
                ):
                    raise SuiteError("this OpenSSL makes no SM2 signatures")
            finally:
                lib.EVP_PKEY_CTX_free(context)
                lib.ERR_clear_error()
        r, s = decode_dss_signature(out.raw[: length.value])
        if not sm2_verify(self.public, digest, r, s):
            raise OpinionsDiffer("a provider refuses the SM2 signature that OpenSSL made")
        return r.to_bytes(_SIZE, "big") + s.to_bytes(_SIZE, "big")

    @contextmanager
    def _loaded(self) -> Iterator[tuple[ctypes.CDLL, ctypes.c_void_p]]:
        lib = libcrypto()
        start = ctypes.c_char_p(self.pkcs8)
        handle = lib.d2i_AutoPrivateKey(None, ctypes.byref(start), len(self.pkcs8))
        try:
            if not handle or lib.EVP_PKEY_is_a(handle, b"SM2") != 1:
                raise InputError("not a private key of the SM2 curve")
            yield lib, handle
        finally:
            lib.EVP_PKEY_free(handle)
            lib.ERR_clear_error()


def generate_key() -> Sm2PrivateKey:
    """Return a new key.

    :raises SuiteError: this machine's OpenSSL is missing or has no SM2.
    """
    lib = libcrypto()
    context = lib.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
    handle, info = ctypes.c_void_p(), None
    try:
        if (
            not context
            or lib.EVP_PKEY_keygen_init(context) != 1
            or lib.EVP_PKEY_generate(context, ctypes.byref(handle)) != 1
        ):
            raise SuiteError("this OpenSSL makes no SM2 keys")
        info = lib.EVP_PKEY2PKCS8(handle)
        out = ctypes.create_string_buffer(_LONGEST_KEY)
        end = ctypes.c_void_p(ctypes.addressof(out))
        length = lib.i2d_PKCS8_PRIV_KEY_INFO(info, ctypes.byref(end)) if info else 0
        if not 0 < length <= _LONGEST_KEY:
            raise SuiteError("this OpenSSL writes no SM2 keys")
        return Sm2PrivateKey(out.raw[:length])
    finally:
        lib.PKCS8_PRIV_KEY_INFO_free(info)
        lib.EVP_PKEY_free(handle)
        lib.EVP_PKEY_CTX_free(context)
        lib.ERR_clear_error()


def _octets(lib: ctypes.CDLL, handle: ctypes.c_void_p, name: bytes, size: int) -> bytes:
    out, length = ctypes.create_string_buffer(size), ctypes.c_size_t()
    done = lib.EVP_PKEY_get_octet_string_param(handle, name, out, size, ctypes.byref(length))
    if done != 1 or length.value != size:
        raise InputError("the key has no public point")
    return out.raw
