# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's libcrypto through ctypes, for what no Python library of ours offers of SM2."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from e2etrust_core.errors import SuiteError

_POINTER, _SIZE, _INT, _TEXT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
#: A function's name, its result and its arguments.
_FUNCTIONS: tuple[tuple[str, Any, list[Any]], ...] = (
    ("EVP_PKEY_CTX_new_from_name", _POINTER, [_POINTER, _TEXT, _TEXT]),
    ("EVP_PKEY_CTX_new", _POINTER, [_POINTER, _POINTER]),
    ("EVP_PKEY_CTX_free", None, [_POINTER]),
    ("EVP_PKEY_free", None, [_POINTER]),
    ("EVP_PKEY_is_a", _INT, [_POINTER, _TEXT]),
    ("EVP_PKEY_fromdata_init", _INT, [_POINTER]),
    ("EVP_PKEY_fromdata", _INT, [_POINTER, _POINTER, _INT, _POINTER]),
    ("EVP_PKEY_keygen_init", _INT, [_POINTER]),
    ("EVP_PKEY_generate", _INT, [_POINTER, _POINTER]),
    ("EVP_PKEY_get_octet_string_param", _INT, [_POINTER, _TEXT, _POINTER, _SIZE, _POINTER]),
    ("EVP_PKEY_sign_init", _INT, [_POINTER]),
    ("EVP_PKEY_sign", _INT, [_POINTER, _POINTER, _POINTER, _TEXT, _SIZE]),
    ("EVP_PKEY_verify_init", _INT, [_POINTER]),
    ("EVP_PKEY_verify", _INT, [_POINTER, _TEXT, _SIZE, _TEXT, _SIZE]),
    ("EVP_PKEY2PKCS8", _POINTER, [_POINTER]),
    ("i2d_PKCS8_PRIV_KEY_INFO", _INT, [_POINTER, _POINTER]),
    ("PKCS8_PRIV_KEY_INFO_free", None, [_POINTER]),
    ("d2i_AutoPrivateKey", _POINTER, [_POINTER, _POINTER, ctypes.c_long]),
    ("EC_GROUP_new_by_curve_name", _POINTER, [_INT]),
    ("EC_GROUP_free", None, [_POINTER]),
    ("EC_POINT_new", _POINTER, [_POINTER]),
    ("EC_POINT_clear_free", None, [_POINTER]),
    ("EC_POINT_mul", _INT, [_POINTER] * 6),
    ("EC_POINT_oct2point", _INT, [_POINTER, _POINTER, _TEXT, _SIZE, _POINTER]),
    ("EC_POINT_point2oct", _SIZE, [_POINTER, _POINTER, _INT, _POINTER, _SIZE, _POINTER]),
    ("BN_bin2bn", _POINTER, [_TEXT, _INT, _POINTER]),
    ("BN_clear_free", None, [_POINTER]),
    ("ERR_clear_error", None, []),
)


@functools.cache
def libcrypto() -> ctypes.CDLL:
    """Load the library, its functions declared.

    :raises SuiteError: OpenSSL 3 is not on this machine.
    """
    try:
        lib = ctypes.CDLL("libcrypto.so.3")
    except OSError as exc:
        raise SuiteError(
            "OpenSSL 3 is not installed", remedy="Install OpenSSL 3 (Debian package libssl3)."
        ) from exc
    for name, result, arguments in _FUNCTIONS:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
