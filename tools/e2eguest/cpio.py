# SPDX-License-Identifier: Apache-2.0
"""A cpio archive in the "newc" format of the kernel's initramfs; same files, same bytes."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A file, directory or symbolic link, by its mode; ``data`` is content or link target."""

    mode: int
    data: bytes = b""


DIRECTORY = Entry(stat.S_IFDIR | 0o755)


def program(data: bytes) -> Entry:
    return Entry(stat.S_IFREG | 0o755, data)


def link(target: str) -> Entry:
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def archive(entries: Mapping[str, Entry]) -> bytes:
    """The archive of ``entries`` (name without leading slash -> entry), sorted by name."""
    parts = [_record(number, name, entries[name]) for number, name in enumerate(sorted(entries), 1)]
    parts.append(_record(0, "TRAILER!!!", Entry(0)))
    return b"".join(parts)


def _record(inode: int, name: str, entry: Entry) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + encoded) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
