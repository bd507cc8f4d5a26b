# SPDX-License-Identifier: Apache-2.0
"""What an IMA entry says: file digest and path, signature, or a measured buffer.

Linux security/integrity/ima/ima_template.c (templates) and ima_template_lib.c (fields d, n,
d-ng, n-ng, d-ngv2, sig, buf).  The data of a violation is under no digest: its fields are what
the host claims, nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from e2etrust_core.evidence.errors import ImaListError
from e2etrust_core.evidence.ima_list import ImaEntry

#: Longest file or buffer name that is decoded, in bytes (PATH_MAX).
MAX_PATH = 4096
MAX_SIGNATURE = 4096

DigestKind = Literal["ima", "verity"]
#: Digest sizes of the kernel's names (crypto/hash_info.c) that a file's digest may have.
_SIZES = {
    "md5": 16,
    "sha1": 20,
    "sha224": 28,
    "sha256": 32,
    "sha384": 48,
    "sha512": 64,
    "sm3": 32,
    "sm3-256": 32,
    "sha3-256": 32,
    "sha3-384": 48,
    "sha3-512": 64,
}
_FIELD_COUNT = {"ima": 2, "ima-ng": 2, "ima-ngv2": 2, "ima-sig": 3, "ima-sigv2": 3, "ima-buf": 3}
_TYPED = {"ima-ngv2", "ima-sigv2"}


@dataclass(frozen=True, slots=True)
class ImaFields:
    """``digest`` is of the file, or of ``buffer`` where there is one; *algorithm* is its hash.

    ``name`` is the path (or the buffer's name) as raw bytes without the closing zero, since a
    path need not be text.  ``signature`` is security.ima as it stood, None where there is none.
    """

    algorithm: str
    digest: bytes
    name: bytes
    kind: DigestKind = "ima"
    signature: bytes | None = None
    buffer: bytes | None = None


def decode_fields(entry: ImaEntry) -> ImaFields:
    """Decode an entry of template ima, ima-ng, ima-sig, ima-buf, ima-ngv2 or ima-sigv2.

    :raises ImaListError: another template, or fields that are not as it says.
    """
    due = _FIELD_COUNT.get(entry.template)
    if due is None:
        raise ImaListError(f"IMA template {entry.template} is not known here")
    fields = entry.fields()
    if len(fields) != due:
        raise ImaListError(f"template {entry.template} has {due} fields, {len(fields)} are there")
    if entry.template == "ima":
        if b"\0" in fields[1]:
            raise ImaListError("an IMA name with a zero within")
        return ImaFields("sha1", fields[0], fields[1])
    kind, algorithm, digest = _digest(fields[0], typed=entry.template in _TYPED)
    name = _name(fields[1])
    if entry.template == "ima-buf":
        # Under ima_template=ima-buf a file's entry has the field too, and nothing in it: an empty
        # buffer is never measured (ima_main.c, process_buffer_measurement's callers).
        return ImaFields(algorithm, digest, name, kind, buffer=fields[2] or None)
    signature = fields[2] if due == 3 else b""
    if len(signature) > MAX_SIGNATURE:
        raise ImaListError(f"an IMA signature of {len(signature)} bytes")
    return ImaFields(algorithm, digest, name, kind, signature or None)


def _digest(field: bytes, *, typed: bool) -> tuple[DigestKind, str, bytes]:
    head, closed, digest = field.partition(b":\0")
    if not closed:
        raise ImaListError("an IMA digest that does not name its hash")
    kind: DigestKind = "ima"
    if typed:
        said, _, head = head.partition(b":")
        if said not in (b"ima", b"verity"):
            raise ImaListError("an IMA digest of a kind not known here")
        kind = "verity" if said == b"verity" else "ima"
    algorithm = head.decode("ascii", "replace")
    size = _SIZES.get(algorithm)
    if size is None:
        raise ImaListError("an IMA digest of a hash not known here")
    if len(digest) != size:
        raise ImaListError(f"an IMA digest of {len(digest)} bytes, {algorithm} has {size}")
    return kind, algorithm, digest


def _name(field: bytes) -> bytes:
    if not field.endswith(b"\0") or b"\0" in field[:-1]:
        raise ImaListError("an IMA name that is not closed by one zero")
    if len(field) > MAX_PATH + 1:
        raise ImaListError(f"an IMA name of {len(field)} bytes, at most {MAX_PATH} are read")
    return field[:-1]
