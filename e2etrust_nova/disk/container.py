# SPDX-License-Identifier: Apache-2.0
"""The encrypted container that lies at a server's disk path, running or not.

Layout: a plain header of 4096 bytes, then ciphertext (see cipher_file) of a whole qcow2 whose
backing file is the decrypted view of the sealed base.  The header:

====== ====== ==========================================================================
offset bytes  field (integers little endian, text UTF-8 padded with zeros)
====== ====== ==========================================================================
0      8      magic ``E2ETCONT``
8      4      version, 1
12     4      sector size, 4096
16     32     salt, random
48     36     instance uuid
84     64     key id of the sealed image
148    32     header digest of the sealed image (SHA-256)
180    8      size of the ciphertext, bytes
188    8      virtual size of the disk inside, bytes
196    1024   base path on the host that made it; only its last part is trusted
4032   32     SHA-256 over bytes 0 to 4031: damage
4064   32     HMAC-SHA256 over bytes 0 to 4063: another key, or a header changed with care
====== ====== ==========================================================================

Keys: HKDF-SHA256 (RFC 5869) of the image key with the salt; info is
``e2etrust container v1 `` + uuid; 64 bytes out: SM4-XTS key, then MAC key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from e2etrust_nova.errors import ContainerError

MAGIC = b"E2ETCONT"
VERSION = 1
HEADER_SIZE = 4096
SECTOR = 4096
_MEBIBYTE = 1 << 20
_fields = struct.Struct("<8sII32s36s64s32sQQ1024s")
_CHECKSUM_AT = 4032
_MAC_AT = 4064


@dataclass(frozen=True, slots=True)
class ContainerHeader:
    """What a container says of itself; sizes in bytes."""

    salt: bytes
    instance: str
    key_id: str
    image_digest: bytes
    size: int
    virtual_size: int
    base: Path


@dataclass(frozen=True, slots=True)
class ContainerKeys:
    """Derived from the image key for one container: 32 bytes each."""

    data: bytes
    mac: bytes

    def __repr__(self) -> str:
        return "ContainerKeys(...)"


def new_header(
    instance: str, key_id: str, image_digest: bytes, qcow2_bound: int, virtual_size: int, base: Path
) -> ContainerHeader:
    """Return the header of a container that holds a qcow2 of at most `qcow2_bound` bytes."""
    size = -(-qcow2_bound // _MEBIBYTE) * _MEBIBYTE
    salt = os.urandom(32)
    return ContainerHeader(salt, instance, key_id, image_digest, size, virtual_size, base)


def derive(image_key: bytes, header: ContainerHeader) -> ContainerKeys:
    """Derive a container's keys."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = b"e2etrust container v1 " + header.instance.encode()
    out = HKDF(hashes.SHA256(), 64, header.salt, info).derive(image_key)
    return ContainerKeys(out[:32], out[32:])


def encode(header: ContainerHeader, keys: ContainerKeys) -> bytes:
    """Encode a header: 4096 bytes.

    :raises ContainerError: a text is longer than its field.
    """
    texts = (header.instance.encode(), header.key_id.encode(), os.fsencode(header.base))
    for text, room in zip(texts, (36, 64, 1024), strict=True):
        if len(text) > room:
            raise ContainerError(f"a name is longer than {room} bytes", code="INPUT_MALFORMED")
    instance, key_id, base = texts
    raw = _fields.pack(
        MAGIC,
        VERSION,
        SECTOR,
        header.salt,
        instance,
        key_id,
        header.image_digest,
        header.size,
        header.virtual_size,
        base,
    ).ljust(_CHECKSUM_AT, b"\0")
    raw += hashlib.sha256(raw).digest()
    return raw + _mac(raw, keys)


def decode(raw: bytes, file_size: int) -> ContainerHeader:
    """Decode and check a header, all but its MAC.

    :param file_size: of the whole file, bytes.
    :raises ContainerError: CONTAINER_BROKEN, by the field that is wrong.
    """
    if len(raw) != HEADER_SIZE or raw[: len(MAGIC)] != MAGIC:
        raise ContainerError("the file is not a container")
    if hashlib.sha256(raw[:_CHECKSUM_AT]).digest() != raw[_CHECKSUM_AT:_MAC_AT]:
        raise ContainerError("the container's header fails its checksum")
    _, version, sector, salt, instance, key_id, digest, size, virtual, base = _fields.unpack_from(
        raw
    )
    if version != VERSION or sector != SECTOR:
        raise ContainerError("the container's version is not known here", code="CONTAINER_VERSION")
    if size % SECTOR or not size or HEADER_SIZE + size != file_size:
        raise ContainerError("the container's size is not what its header says")
    try:
        instance_text, key_text = _text(instance), _text(key_id)
    except UnicodeDecodeError as error:
        raise ContainerError("the container's header holds broken text") from error
    path = Path(os.fsdecode(base.rstrip(b"\0")))
    return ContainerHeader(salt, instance_text, key_text, digest, size, virtual, path)


def check_mac(raw: bytes, keys: ContainerKeys) -> None:
    """Check that the keys are this header's.

    :raises ContainerError: KEY_WRONG.
    """
    if not hmac.compare_digest(_mac(raw[:_MAC_AT], keys), raw[_MAC_AT:HEADER_SIZE]):
        raise ContainerError(
            "the key is not this container's, or its header was altered",
            code="KEY_WRONG",
            remedy="Check that the server's disk was not mixed up with another server's.",
        )


def _mac(raw: bytes, keys: ContainerKeys) -> bytes:
    return hmac.digest(keys.mac, raw, "sha256")


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode()
