# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Tpm:
    """One TPM, shared by threads.  Connects when used, lets go after use."""

    def __init__(self, tcti: str) -> None:
        self.tcti = tcti

    def __enter__(self) -> Tpm:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the device."""

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Hold the TPM for several operations; re-entrant.

        :raises TpmUnreachable:
        """
        raise NotImplementedError


def open_tpm(tcti: str) -> Tpm:
    """:param tcti: e.g. ``swtpm:path=/run/x``, ``swtpm:host=h,port=n``, ``device:/dev/tpmrm0``."""
    return Tpm(tcti)
