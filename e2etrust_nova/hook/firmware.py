# SPDX-License-Identifier: Apache-2.0
"""The digest of the firmware image that a domain starts from."""

from __future__ import annotations

import hashlib
import os
import stat
import xml.etree.ElementTree as ET
from pathlib import Path

from e2etrust_nova.errors import LaunchRefused

#: Where QEMU finds SeaBIOS when the domain names no loader, in its search order (Debian, Fedora).
SEABIOS = tuple(
    Path(directory, "bios-256k.bin")
    for directory in ("/usr/share/qemu", "/usr/share/seabios", "/usr/share/qemu/seabios")
)
MAX_FIRMWARE = 64 * 1024 * 1024


def firmware_digest(domain: ET.Element, seabios: tuple[Path, ...] = SEABIOS) -> bytes:
    """Return the SHA-256 of the firmware image.

    :raises LaunchRefused: code FIRMWARE_UNKNOWN: which one it is cannot be told or read;
        KERNEL_UNMEASURED: a kernel stands beside it, which would have the disk opened and which
        nobody measures.
    """
    return hashlib.sha256(_read(_firmware_path(domain, seabios))).digest()


def _firmware_path(domain: ET.Element, seabios: tuple[Path, ...]) -> Path:
    if domain.findtext("os/kernel"):
        raise LaunchRefused(
            "domain boots a kernel of the host's directly",
            code="KERNEL_UNMEASURED",
            remedy="Start from an image with its kernel in it, without kernel_id and ramdisk_id.",
        )
    loader = (domain.findtext("os/loader") or "").strip()
    if loader:
        return Path(loader)
    system = domain.find("os")
    if system is not None and (system.get("firmware") or "bios") != "bios":
        raise _unknown("domain's firmware is not chosen yet")
    for path in seabios:
        if path.exists():
            return path
    raise _unknown("QEMU's default firmware was not found")


def _read(path: Path) -> bytes:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise _unknown("firmware image is not a file")
            data = stream.read(MAX_FIRMWARE + 1)
    except OSError as exc:
        raise _unknown(f"firmware image: {exc.strerror}") from exc
    if not data or len(data) > MAX_FIRMWARE:
        raise _unknown("firmware image is empty or too large")
    return data


def _unknown(reason: str) -> LaunchRefused:
    return LaunchRefused(
        reason,
        code="FIRMWARE_UNKNOWN",
        remedy="Give the image hw_firmware_type=uefi or bios, and install that firmware.",
    )
