# SPDX-License-Identifier: Apache-2.0
"""Lines of allowlists, written; :mod:`.ima_allowlist` reads them."""

from __future__ import annotations

from e2etrust_core.appraisal.ima_allowlist import NAMED_BY_LENGTH


def allowlist_line(algorithm: str, digest: bytes, path: bytes, *, verity: bool = False) -> bytes:
    """Return a line as sha256sum(1) writes it, with what it does not know before the digest.

    :param algorithm: as the kernel names it; told only where the digest's length does not tell it.
    """
    head = f"verity:{algorithm}:" if verity else ""
    if not verity and NAMED_BY_LENGTH.get(2 * len(digest)) != algorithm:
        head = f"{algorithm}:"
    escaped = path
    for plain, written in ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r")):
        escaped = escaped.replace(plain, written)
    mark = b"\\" if escaped != path else b""
    return mark + head.encode() + digest.hex().encode() + b"  " + escaped
