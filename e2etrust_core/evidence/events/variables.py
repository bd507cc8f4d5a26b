# SPDX-License-Identifier: Apache-2.0
"""EFI variables in an event log: UEFI_VARIABLE_DATA and EFI_SIGNATURE_LIST.

TCG PC Client PFP 1.05, 10.2.6 (UEFI_VARIABLE_DATA); UEFI 2.10, 32.4.1 (signature database).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.little_endian import LittleEndianReader

EFI_GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
IMAGE_SECURITY_DATABASE = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
SHIM_LOCK = UUID("605dab50-e046-4300-abb6-3dd810dd8b23")

CERT_X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
CERT_SHA256 = UUID("c1c41626-504c-4092-aca9-41f936934328")

_MAX_NAME = 1024
_MAX_SIGNATURES = 65536
_LIST_HEADER = 28
_OWNER = 16
_SHA256 = 32


@dataclass(frozen=True, slots=True)
class EfiVariable:
    """One variable as it was measured.  ``data`` may be empty: the variable is not there.

    ``extra`` are bytes behind the data that the sizes leave out: firmware of real machines states
    too small a size now and then.
    """

    vendor: UUID
    name: str
    data: bytes
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class EfiSignature:
    """One entry of a signature list: ``kind`` says what ``data`` is (:data:`CERT_X509`…)."""

    kind: UUID
    owner: UUID
    data: bytes


def decode_variable(data: bytes) -> EfiVariable:
    """Decode a UEFI_VARIABLE_DATA.

    :raises EventLogError: sizes that do not fit, or a name that is none.
    """
    reader = LittleEndianReader(data, "EFI variable", EventLogError)
    vendor = reader.guid()
    characters, size = reader.uint(8), reader.uint(8)
    if characters > _MAX_NAME:
        raise EventLogError(f"EFI variable: a name of {characters} characters")
    return EfiVariable(vendor, reader.text16(characters), reader.take(size), reader.rest())


def decode_authority(data: bytes) -> EfiSignature:
    """Decode what let an image run: one entry of a signature database, without its list.

    TCG PC Client PFP 1.05, 10.4.2 has the owner in front; shim leaves it out of certificates of
    its own.  The type is not told: a certificate, or a hash where it is as long as one.

    :raises EventLogError: too short to be either.
    """
    if _is_der(data):
        return EfiSignature(CERT_X509, UUID(int=0), data)
    if len(data) <= _OWNER:
        raise EventLogError(f"signature of {len(data)} bytes")
    owner, body = UUID(bytes_le=data[:_OWNER]), data[_OWNER:]
    return EfiSignature(CERT_SHA256 if len(body) == _SHA256 else CERT_X509, owner, body)


def _is_der(data: bytes) -> bool:
    """Is *data* one DER SEQUENCE of two bytes of length, to its last byte?"""
    return data[:2] == b"\x30\x82" and len(data) == 4 + int.from_bytes(data[2:4], "big")


def decode_signature_lists(data: bytes) -> list[EfiSignature]:
    """Decode the contents of PK, KEK, db, dbx: EFI_SIGNATURE_LISTs one behind the other.

    The header of a list is skipped by its stated size; none of its bytes is taken as an entry.

    :raises EventLogError: a list, header or entry whose size does not fit.
    """
    reader = LittleEndianReader(data, "signature list", EventLogError)
    found: list[EfiSignature] = []
    while reader.left:
        kind = reader.guid()
        size, header, each = reader.uint(4), reader.uint(4), reader.uint(4)
        if size < _LIST_HEADER:
            raise EventLogError(f"signature list of {size} bytes, its own header has 28")
        body = LittleEndianReader(reader.take(size - _LIST_HEADER), "signature list", EventLogError)
        body.take(header)
        if each <= _OWNER or body.left % each or body.left == 0:
            raise EventLogError(f"signature list: {body.left} bytes are no entries of {each}")
        while body.left:
            if len(found) >= _MAX_SIGNATURES:
                raise EventLogError(f"signature lists of more than {_MAX_SIGNATURES} entries")
            found.append(EfiSignature(kind, body.guid(), body.take(each - _OWNER)))
    return found
