# SPDX-License-Identifier: Apache-2.0
"""What an IMA entry says: file digest and path, signature, or a measured buffer.

Linux security/integrity/ima/ima_template.c (templates; one that the command line defines by
``ima_template_fmt`` is recorded under its list of fields) and ima_template_lib.c (the fields).  The
data of a violation is under no digest: its fields are what the host claims, nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.errors import ImaListError
from e2etrust_core.evidence.ima_list import ImaEntry

#: Longest file or buffer name that is decoded, in bytes (PATH_MAX).
MAX_PATH = 4096
MAX_SIGNATURE = 4096
_MAX_FIELDS = 15  # IMA_TEMPLATE_NUM_FIELDS_MAX

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
_LEGACY = "ima"
#: Template name -> its fields.
_TEMPLATES = {
    _LEGACY: "d|n",
    "ima-ng": "d-ng|n-ng",
    "ima-sig": "d-ng|n-ng|sig",
    "ima-ngv2": "d-ngv2|n-ng",
    "ima-sigv2": "d-ngv2|n-ng|sig",
    "ima-buf": "d-ng|n-ng|buf",
    "ima-modsig": "d-ng|n-ng|sig|d-modsig|modsig",
    "evm-sig": "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode",
}
_DIGESTS = {"d", "d-ng", "d-ngv2"}
_NAMES = {"n", "n-ng"}


@dataclass(frozen=True, slots=True)
class ImaFields:
    """``digest`` is of the file, or of ``buffer`` where there is one; *algorithm* is its hash.

    ``name`` is the path (or the buffer's name) as raw bytes without the closing zero, since a
    path need not be text; the kernel writes ``_`` for each space in it.  ``signature`` is
    security.ima as it stood, None where there is none.  Appended signatures (``modsig``) and what
    EVM covers are checked for their form only: nothing is concluded from them.
    """

    algorithm: str
    digest: bytes
    name: bytes
    kind: DigestKind = "ima"
    signature: bytes | None = None
    buffer: bytes | None = None


def decode_fields(entry: ImaEntry) -> ImaFields:
    """Decode an entry of one of the kernel's templates, or of one that lists its fields.

    :raises ImaListError: another template, one that tells no digest or no name, fields that are
        not as it says, or a buffer that the digest is not of.
    """
    due = _fields_of(entry.template)
    fields = entry.fields()
    if len(fields) != len(due):
        raise ImaListError(
            f"template {entry.template} has {len(due)} fields, {len(fields)} are there"
        )
    told = dict(zip(due, fields, strict=True))
    for which, data in told.items():
        _check(which, data, entry.template)
    kind, algorithm, digest = next(_digest(told[one], one) for one in due if one in _DIGESTS)
    # The first template is not read with its name's closing zero.
    name = (
        fields[1] if entry.template == _LEGACY else _name(told["n-ng" if "n-ng" in told else "n"])
    )
    # Under ima_template=ima-buf a file's entry has the field too, and nothing in it: an empty
    # buffer is never measured (ima_main.c, process_buffer_measurement's callers).
    if buffer := told.get("buf"):
        _check_buffer(algorithm, digest, buffer)
        return ImaFields(algorithm, digest, name, kind, buffer=buffer)
    return ImaFields(algorithm, digest, name, kind, told.get("sig") or None)


@lru_cache(maxsize=64)
def _fields_of(template: str) -> tuple[str, ...]:
    found = tuple(_TEMPLATES.get(template, template).split("|"))
    if template not in _TEMPLATES and not ("|" in template and set(found) <= _FIELDS.keys()):
        raise ImaListError(f"IMA template {template} is not known here")
    if len(found) > _MAX_FIELDS or len(set(found)) < len(found):
        raise ImaListError(f"IMA template {template} has a field twice, or too many")
    if sum(one in _DIGESTS for one in found) != 1 or sum(one in _NAMES for one in found) != 1:
        raise ImaListError(f"IMA template {template} does not tell one digest and one name")
    return found


def _check(which: str, data: bytes, template: str) -> None:
    fits = _FIELDS[which]
    if not fits(data):
        raise ImaListError(
            f"field {which} of IMA template {template}: {len(data)} bytes that are none"
        )


def _signature(data: bytes) -> bool:
    return len(data) <= MAX_SIGNATURE


def _modsig_digest(data: bytes) -> bool:
    # Empty where the file has no appended signature.
    return not data or bool(_digest(data, "d-ng"))


def _anything(_data: bytes) -> bool:
    return True


#: Fields by name, and what must hold of their bytes besides what :func:`decode_fields` looks at.
_FIELDS: Mapping[str, Callable[[bytes], bool]] = {
    "d": _anything,
    "d-ng": _anything,
    "d-ngv2": _anything,
    "n": _anything,
    "n-ng": _anything,
    "sig": _signature,
    "buf": _anything,
    "d-modsig": _modsig_digest,
    "modsig": _anything,
    "evmsig": _signature,
    "xattrnames": _anything,
    "xattrlengths": lambda data: len(data) % 4 == 0,
    "xattrvalues": _anything,
    "iuid": lambda data: len(data) in (2, 4),
    "igid": lambda data: len(data) in (2, 4),
    "imode": lambda data: len(data) == 2,
}


def _check_buffer(algorithm: str, digest: bytes, buffer: bytes) -> None:
    # process_buffer_measurement hashes just what it records.
    name = algorithm.removesuffix("-256") if algorithm.startswith("sm3") else algorithm
    if digest_of(name.replace("-", "_"), buffer) != digest:
        raise ImaListError("a measured buffer that its digest is not of")


def _digest(field: bytes, which: str) -> tuple[DigestKind, str, bytes]:
    if which == "d":
        sizes = {_SIZES[name]: name for name in ("md5", "sha1")}
        if len(field) not in sizes:
            raise ImaListError(f"an IMA digest of {len(field)} bytes in field d")
        return "ima", sizes[len(field)], field
    head, closed, digest = field.partition(b":\0")
    if not closed:
        raise ImaListError("an IMA digest that does not name its hash")
    kind: DigestKind = "ima"
    if which == "d-ngv2":
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
