# SPDX-License-Identifier: Apache-2.0
"""An EFI system partition with the one program that the firmware starts by default."""

from __future__ import annotations

from pathlib import Path

from e2eguest.disk_tools import run

_SECTOR = 512


def write(disk: Path, program: Path, start: int, size: int) -> None:
    """Make the file system in ``disk`` at byte ``start``, ``size`` bytes long."""
    target = f"{disk}@@{start}"
    sectors = str(size // _SECTOR)
    run("mformat", "-i", target, "-T", sectors, "-h", "16", "-s", "63", "-v", "ESP", "::")
    run("mmd", "-i", target, "::/EFI", "::/EFI/BOOT")
    run("mcopy", "-i", target, str(program), "::/EFI/BOOT/BOOTX64.EFI")
