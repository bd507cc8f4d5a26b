# SPDX-License-Identifier: Apache-2.0
"""Boot applications and drivers in an event log, and the device paths that name them.

TCG PC Client PFP 1.05, 10.2.3 (UEFI_IMAGE_LOAD_EVENT); UEFI 2.10, 10.2 (device path protocol).
"""

from __future__ import annotations

from dataclasses import dataclass

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.little_endian import LittleEndianReader

_END = 0x7F
_MEDIA, _FILE_PATH = 0x04, 0x04
_NODE_HEADER = 4
_MAX_NODES = 256


@dataclass(frozen=True, slots=True)
class ImageLoad:
    """An image the firmware loaded: where to, of which size, and the files its path names.

    ``extra`` are bytes behind the device path, which no specification knows: firmware of real
    machines puts some there for images out of option ROMs.
    """

    address: int
    length: int
    link_time_address: int
    device_path: bytes
    files: tuple[str, ...]
    extra: bytes


def decode_image_load(data: bytes) -> ImageLoad:
    """Decode a UEFI_IMAGE_LOAD_EVENT.

    The event's digest is that of the image (its Authenticode digest), never of these bytes.

    :raises EventLogError: a device path that does not fit.
    """
    reader = LittleEndianReader(data, "image load event", EventLogError)
    address, length, link_time = reader.uint(8), reader.uint(8), reader.uint(8)
    path = reader.take(reader.uint(8))
    return ImageLoad(address, length, link_time, path, files_of(path), reader.rest())


def files_of(device_path: bytes) -> tuple[str, ...]:
    """Return the file names (media file path nodes) of a device path, in its order.

    :raises EventLogError: a node whose size does not fit.
    """
    reader = LittleEndianReader(device_path, "device path", EventLogError)
    files: list[str] = []
    nodes = 0
    while reader.left:
        nodes += 1
        kind, sub_kind, size = reader.uint(1), reader.uint(1), reader.uint(2)
        if size < _NODE_HEADER or nodes > _MAX_NODES:
            raise EventLogError(f"device path: node {nodes} of {size} bytes")
        body = reader.take(size - _NODE_HEADER)
        if kind == _END:
            continue
        if (kind, sub_kind) == (_MEDIA, _FILE_PATH):
            files.append(LittleEndianReader(body, "device path", EventLogError).text16_closed())
    return tuple(files)
