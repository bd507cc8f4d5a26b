# SPDX-License-Identifier: Apache-2.0
"""SM2 by the system's OpenSSL, by ctypes: the ``cryptography`` package has no SM2 keys.

SM3 and SM4 are there.

Keys are loaded once and then only read, every check is in a context of its own: so threads need no
lock (openssl-threads(7)); ctypes releases the GIL.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from e2etrust_core.crypto.libcrypto import libcrypto
from e2etrust_core.crypto.provider import Sm2PublicKey
from e2etrust_core.errors import SuiteError

# openssl/evp.h, openssl/core.h
_EVP_PKEY_PUBLIC_KEY = 0x86
_UTF8_STRING = 4
_OCTET_STRING = 5
#: Keys that stay loaded: to load one takes nearly as long as to verify by it.
KEYS_LOADED = 4096


class _Param(ctypes.Structure):
    """OSSL_PARAM."""

    _fields_ = (
        ("key", ctypes.c_char_p),
        ("data_type", ctypes.c_uint),
        ("data", ctypes.c_void_p),
        ("data_size", ctypes.c_size_t),
        ("return_size", ctypes.c_size_t),
    )


class OpensslProvider:
    """The default: native speed."""

    name = "openssl"

    def sm3(self, data: bytes) -> bytes:
        return hashlib.new("sm3", data).digest()

    def sm4_decrypt(self, key: bytes, blocks: bytes) -> bytes:
        """:raises SuiteError: this OpenSSL is built without SM4."""
        try:
            # ECB is the bare cipher here; what is chained is chained above.
            decryptor = Cipher(algorithms.SM4(key), modes.ECB()).decryptor()  # noqa: S305
        except UnsupportedAlgorithm as exc:
            raise SuiteError("this OpenSSL has no SM4") from exc
        return decryptor.update(blocks) + decryptor.finalize()

    def sm2_verify(self, key: Sm2PublicKey, digest: bytes, r: int, s: int) -> bool:
        """:raises SuiteError: this OpenSSL is missing or built without SM2."""
        lib = libcrypto()
        loaded = _load(key)
        context = lib.EVP_PKEY_CTX_new(loaded.handle, None)
        try:
            if not context or lib.EVP_PKEY_verify_init(context) != 1:
                raise SuiteError("this OpenSSL cannot verify SM2 signatures")
            signature = encode_dss_signature(r, s)
            args = (signature, len(signature), digest, len(digest))
            return bool(lib.EVP_PKEY_verify(context, *args) == 1)
        finally:
            lib.EVP_PKEY_CTX_free(context)
            lib.ERR_clear_error()


class _LoadedKey:
    """An EVP_PKEY, freed when nobody has it any more."""

    def __init__(self, lib: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self.handle = handle
        self._free = lib.EVP_PKEY_free

    def __del__(self) -> None:
        self._free(self.handle)


@functools.lru_cache(maxsize=KEYS_LOADED)
def _load(key: Sm2PublicKey) -> _LoadedKey:
    lib = libcrypto()
    group = ctypes.create_string_buffer(b"SM2")
    point = ctypes.create_string_buffer(key.octets, 65)
    params = (_Param * 3)(
        _Param(b"group", _UTF8_STRING, ctypes.addressof(group), 3, 0),
        _Param(b"pub", _OCTET_STRING, ctypes.addressof(point), 65, 0),
        _Param(None, 0, None, 0, 0),
    )
    context = lib.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
    handle = ctypes.c_void_p()
    try:
        if (
            not context
            or lib.EVP_PKEY_fromdata_init(context) != 1
            or lib.EVP_PKEY_fromdata(context, ctypes.byref(handle), _EVP_PKEY_PUBLIC_KEY, params)
            != 1
        ):
            raise SuiteError("this OpenSSL takes no SM2 key")
    finally:
        lib.EVP_PKEY_CTX_free(context)
    return _LoadedKey(lib, handle)
