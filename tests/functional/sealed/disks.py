# SPDX-License-Identifier: Apache-2.0
"""Real disk images made by the systems' own tools; needs no root."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

MIB = 1 << 20
SECRET_NAME = "zq-secret-payroll-2026.txt"
SECRET_TEXT = b"the tenant's secret: 4711-" + b"plough" * 4
CARVABLE = b"CARVABLE-CONTENT-MARKER-" * 1000
FAT_NAME = "ZQHIDDEN.EFI"


def run(*arguments: object, cwd: Path | None = None) -> str:
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LC_ALL": "C"}
    command = [str(argument) for argument in arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def tree(root: Path) -> Path:
    """A directory tree with a secret name, many small files and one large file."""
    root.mkdir()
    (root / "home").mkdir()
    (root / "home" / SECRET_NAME).write_bytes(SECRET_TEXT)
    (root / "large.bin").write_bytes(CARVABLE + random.Random(1).randbytes(6 * MIB))
    (root / "link").symlink_to("/a/very/long/target/" + "x" * 80)
    for number in range(200):
        folder = root / f"dir{number % 20:02}"
        folder.mkdir(exist_ok=True)
        (folder / f"file-{number:03}-with-a-long-name").write_bytes(b"small %d" % number)
    return root


def ext(path: Path, content: Path, size: int, kind: str = "ext4", *options: str) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    run("mke2fs", "-q", "-t", kind, *options, "-d", content, path)
    return path


def fat(path: Path, size: int, bits: int, *options: str) -> Path:
    """A FAT file system with directories deep enough to use several clusters."""
    with path.open("wb") as file:
        file.truncate(size)
    run("mkfs.vfat", "-F", bits, *options, path)
    run("mmd", "-i", path, "::/EFI", "::/EFI/BOOT", "::/MANY")
    payload = path.with_suffix(".payload")
    payload.write_bytes(b"payload " * 100)
    run("mcopy", "-i", path, payload, f"::/EFI/BOOT/{FAT_NAME}")
    names = [path.with_name(f"{path.stem}-a-long-file-name-{n:04}") for n in range(80)]
    for name in names:
        name.write_bytes(b"x")
    run("mcopy", "-i", path, *names, "::/MANY")
    for name in [payload, *names]:
        name.unlink()
    return path


def gpt(path: Path, size: int, parts: list[tuple[int, str, Path | None, int]]) -> Path:
    """A GPT disk: (start in MiB, sgdisk type, what to put in, size in MiB) each."""
    with path.open("wb") as file:
        file.truncate(size)
    arguments: list[object] = []
    for number, (start, kind, _, length) in enumerate(parts, 1):
        arguments += [f"-n{number}:{start}M:+{length}M", f"-t{number}:{kind}"]
    run("sgdisk", "-o", *arguments, path)
    for start, _, content, _ in parts:
        if content is not None:
            run("dd", f"if={content}", f"of={path}", "bs=1M", f"seek={start}",
                "conv=notrunc,sparse", "status=none")  # fmt: skip
    return path


def bootable(directory: Path, size: int = 1024 * MIB) -> Path:
    """The image of the story: ESP, BIOS boot partition, and ext4 with the secret."""
    esp = fat(directory / "esp", 64 * MIB, 16)
    root_mib = size // MIB - 70
    root = ext(directory / "root", tree(directory / "tree"), root_mib * MIB)
    boot = directory / "grub"
    boot.write_bytes(b"GRUB CORE IMAGE " * 1000)
    parts = [(1, "ef02", boot, 1), (2, "ef00", esp, 64), (66, "8300", root, root_mib)]
    disk = gpt(directory / "source.raw", size, parts)
    for path in (esp, root, boot):
        path.unlink()
    return disk
