# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's libcrypto through ctypes, for what no Python library of ours offers of SM2."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

from e2etrust_core.errors import SuiteError

#: A function's name, its result and its arguments, as ctypes types.
Function = tuple[str, Any, list[Any]]


def libcrypto(functions: Iterable[Function]) -> ctypes.CDLL:
    """Load the library, its *functions* declared.

    :raises SuiteError: OpenSSL 3 is not on this machine.
    """
    try:
        # Not the process's one copy: each caller declares what it calls.
        lib = ctypes.CDLL("libcrypto.so.3")
    except OSError as exc:
        raise SuiteError(
            "OpenSSL 3 is not installed", remedy="Install OpenSSL 3 (Debian package libssl3)."
        ) from exc
    for name, result, arguments in functions:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
