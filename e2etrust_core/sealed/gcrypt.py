# SPDX-License-Identifier: Apache-2.0
"""libgcrypt by ctypes: the one module of ours that knows its C interface.

Only what sealed images need: SM4 in CBC and CFB (the modes that libgcrypt runs in bulk with
vector instructions) and SM3 over scattered buffers. ctypes releases the GIL in every call.
"""

from __future__ import annotations

import ctypes
import functools

from e2etrust_core.errors import SuiteError

# gcrypt.h
_INITIALIZATION_FINISHED = 38
_INITIALIZATION_FINISHED_P = 39
_DISABLE_SECMEM = 37
_FIRST_WITH_SM4 = b"1.9.0"

SM4 = 318
SM3 = 326
MODE_CFB = 2
MODE_CBC = 3


class _Buffer(ctypes.Structure):
    """gcry_buffer_t: one piece of scattered input."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("off", ctypes.c_size_t),
        ("len", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
    )


@functools.cache
def library() -> ctypes.CDLL:
    """Load and start libgcrypt once per process.

    :raises SuiteError: it is missing, too old, or built without SM4 or SM3.
    """
    remedy = "Install libgcrypt 1.9 or later (Debian package libgcrypt20)."
    try:
        lib = ctypes.CDLL("libgcrypt.so.20")
    except OSError as error:
        raise SuiteError("libgcrypt is not installed", remedy=remedy) from error
    _declare(lib)
    if lib.gcry_check_version(_FIRST_WITH_SM4) is None:
        raise SuiteError("libgcrypt is too old for SM4", remedy=remedy)
    # Another library in this process may have started it already; then its settings stand.
    if not lib.gcry_control(_INITIALIZATION_FINISHED_P, 0):
        lib.gcry_control(_DISABLE_SECMEM, 0)
        lib.gcry_control(_INITIALIZATION_FINISHED, 0)
    if lib.gcry_cipher_algo_info(SM4, 8, None, None) or lib.gcry_md_algo_info(SM3, 8, None, None):
        raise SuiteError("this libgcrypt was built without SM4 or SM3", remedy=remedy)
    return lib


def _declare(lib: ctypes.CDLL) -> None:
    pointer, size, integer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    signatures = {
        "gcry_check_version": ([ctypes.c_char_p], ctypes.c_char_p),
        "gcry_control": ([integer, integer], ctypes.c_uint),
        "gcry_cipher_algo_info": ([integer, integer, pointer, pointer], ctypes.c_uint),
        "gcry_md_algo_info": ([integer, integer, pointer, pointer], ctypes.c_uint),
        "gcry_cipher_open": ([pointer, integer, integer, ctypes.c_uint], ctypes.c_uint),
        "gcry_cipher_close": ([pointer], None),
        "gcry_cipher_setkey": ([pointer, pointer, size], ctypes.c_uint),
        "gcry_cipher_setiv": ([pointer, pointer, size], ctypes.c_uint),
        "gcry_cipher_decrypt": ([pointer, pointer, size, pointer, size], ctypes.c_uint),
        "gcry_md_hash_buffers": (
            [integer, ctypes.c_uint, pointer, pointer, integer],
            ctypes.c_uint,
        ),
        "gcry_strerror": ([ctypes.c_uint], ctypes.c_char_p),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(lib, name)
        function.argtypes = arguments
        function.restype = result


def _check(lib: ctypes.CDLL, code: int, doing: str) -> None:
    if code:
        text = lib.gcry_strerror(code).decode(errors="replace")
        raise SuiteError(f"libgcrypt failed while {doing}: {text}")


class BlockCipher:
    """One SM4 key in one bulk mode; for one thread at a time.

    Addresses are plain integers, so that the caller can hand over the middle of a buffer.
    """

    def __init__(self, mode: int, key: bytes | bytearray) -> None:
        self._handle = ctypes.c_void_p()
        self._library = library()
        handle = ctypes.byref(self._handle)
        _check(self._library, self._library.gcry_cipher_open(handle, SM4, mode, 0), "opening SM4")
        material = (ctypes.c_char * len(key)).from_buffer_copy(key)
        code = self._library.gcry_cipher_setkey(self._handle, material, len(key))
        ctypes.memset(material, 0, len(key))
        _check(self._library, code, "setting an SM4 key")

    def decrypt(self, iv: int, target: int, source: int, size: int) -> None:
        """Decrypt `size` bytes at address `source` into address `target` with the 16-byte IV."""
        code = self._library.gcry_cipher_setiv(self._handle, iv, 16)
        _check(self._library, code, "setting an IV")
        code = self._library.gcry_cipher_decrypt(self._handle, target, size, source, size)
        _check(self._library, code, "running SM4")

    def close(self) -> None:
        """Free the handle; libgcrypt wipes the key schedule as it does so."""
        handle, self._handle = self._handle, ctypes.c_void_p()
        if handle:
            self._library.gcry_cipher_close(handle)

    def __del__(self) -> None:
        self.close()


def sm3(*pieces: bytes | bytearray | memoryview) -> bytes:
    """SM3 (GB/T 32905-2016) over the pieces joined, without joining them.

    :returns: 32 bytes.
    """
    lib = library()
    array = (_Buffer * len(pieces))()
    keep = []
    for slot, piece in zip(array, pieces, strict=True):
        address, owner = _address(piece)
        keep.append(owner)
        slot.size = slot.len = len(piece)
        slot.data = address
    digest = ctypes.create_string_buffer(32)
    _check(lib, lib.gcry_md_hash_buffers(SM3, 0, digest, array, len(pieces)), "running SM3")
    return digest.raw


def _address(piece: bytes | bytearray | memoryview) -> tuple[int | None, object]:
    """Where the bytes of a contiguous buffer stand, and what keeps them there."""
    if not len(piece):
        return None, piece
    if isinstance(piece, bytes):
        pointer = ctypes.c_char_p(piece)
        return ctypes.cast(pointer, ctypes.c_void_p).value, piece
    view = memoryview(piece)
    if view.readonly:
        return _address(bytes(view))
    first = ctypes.c_char.from_buffer(view)
    return ctypes.addressof(first), first
