# SPDX-License-Identifier: Apache-2.0
"""The image to seal: recognised, and copied out as a raw sparse working file."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2etrust_core.sealed import image, system_tool
from e2etrust_core.sealed.errors import (
    AlreadySealedError,
    ImageReadError,
    NotSealedError,
    SealedImageError,
    SourceTruncatedError,
    SourceUnsupportedError,
    ToolError,
)

SECTOR = 512
#: Called with a stage ("reading", "encrypting", "writing"), bytes done and bytes in all.
Progress = Callable[[str, int, int], None]
_PERCENT = re.compile(r"\(([0-9.]+)/100%\)")


@dataclass(frozen=True)
class Source:
    """A raw or qcow2 image; `disk_size` is what a guest would see, in bytes."""

    path: Path
    format: str
    disk_size: int


def recognise(path: Path) -> Source:
    """Look at an image without changing it.

    :raises ImageReadError: it cannot be read.
    :raises SourceUnsupportedError: another format, a backing chain, an external or encrypted one.
    :raises SourceTruncatedError: it is no whole number of sectors, or a damaged qcow2.
    :raises AlreadySealedError: it is a sealed image.
    """
    path = path.resolve()
    _refuse_unreadable(path)
    info = qemu_info(path)
    if info["format"] not in ("raw", "qcow2"):
        raise SourceUnsupportedError(f"{path.name} is a {info['format']} image")
    if info["format"] == "raw":
        size = path.stat().st_size
        if not size or size % SECTOR:
            raise SourceTruncatedError(
                f"{path.name} is no image or was cut: {size} bytes are not whole sectors of 512"
            )
        _refuse_sealed(path)
    else:
        _refuse_cut_qcow2(path, info.get("cluster-size", 65536))
    return Source(path, info["format"], info["virtual-size"])


def _refuse_cut_qcow2(path: Path, cluster: int) -> None:
    """QEMU reads what lies behind a cut file's end as zeros; its own check knows better."""
    command = ["qemu-img", "check", "--output=json", "-f", "qcow2", str(path)]
    try:
        # 3: leaked clusters, which harm nobody.
        report = json.loads(system_tool.run(command, accept=(0, 2, 3)).stdout)
    except ToolError as error:
        raise SourceUnsupportedError(f"{path.name} cannot be checked: {error.reason}") from None
    if report.get("image-end-offset", 0) > -(-path.stat().st_size // cluster) * cluster:
        raise SourceTruncatedError(f"{path.name} ends before its data does")
    if report.get("corruptions"):
        raise SourceTruncatedError(f"{path.name} is damaged or was cut, says qemu-img check")


def _refuse_unreadable(path: Path) -> None:
    try:
        mode = path.stat().st_mode
        with path.open("rb"):
            pass
    except OSError as error:
        raise ImageReadError(f"{path}: {os.strerror(error.errno or errno.EIO)}") from None
    if not stat.S_ISREG(mode):
        raise ImageReadError(f"{path} is not a regular file")


def _refuse_sealed(path: Path) -> None:
    try:
        image.SealedImage.open(path)
    except NotSealedError:
        return
    except ImageReadError:
        raise
    except SealedImageError:
        pass
    raise AlreadySealedError(f"{path.name} is a sealed image")


def qemu_info(path: Path) -> dict[str, Any]:
    """What qemu-img says of a file; chains and outside data are refused unread."""
    command = ["qemu-img", "info", "--output=json", str(path)]
    try:
        info = json.loads(system_tool.run(command).stdout)
    except ToolError as error:
        raise SourceUnsupportedError(
            f"{path.name} is not a readable image: {error.reason}"
        ) from None
    specific = info.get("format-specific", {}).get("data", {})
    if "backing-filename" in info or "full-backing-filename" in info:
        raise SourceUnsupportedError(f"{path.name} needs a backing file")
    if "data-file" in specific:
        raise SourceUnsupportedError(f"{path.name} keeps its data in another file")
    if info.get("encrypted") or "encrypt" in specific:
        raise SourceUnsupportedError(f"{path.name} is encrypted already")
    if specific.get("corrupt"):
        raise SourceUnsupportedError(f"{path.name} is marked as corrupt")
    return info


def copy_raw(source: Source, target: Path, progress: Progress) -> None:
    """Write the disk into `target`, a raw file with holes for zeros.

    :raises NoSpaceError: the disk under `target` is full.
    :raises SourceTruncatedError: the image's own data cannot be read to the end.
    """
    try:
        convert(source.path, source.format, target, "raw", "reading", source.disk_size, progress)
    except ToolError as error:
        raise SourceTruncatedError(
            f"{source.path.name} cannot be read to its end: {error.reason}"
        ) from None
    if source.format == "qcow2" and target.stat().st_size != source.disk_size:
        raise SourceTruncatedError(f"{source.path.name} gave fewer bytes than it promises")


def convert(
    source: Path,
    source_format: str,
    target: Path,
    target_format: str,
    stage: str,
    size: int,
    progress: Progress,
) -> None:
    """qemu-img convert, with its percents as progress.

    :raises NoSpaceError: the disk under `target` is full.
    :raises ToolError: it failed otherwise.
    """
    formats = ["-f", source_format, "-O", target_format]
    command = ["qemu-img", "convert", "-p", "-S", "4k", *formats, str(source), str(target)]
    try:
        process = subprocess.Popen(
            command,
            env=system_tool.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            bufsize=1,
        )
    except FileNotFoundError:
        raise ToolError("qemu-img is not installed") from None
    with process:
        # It says little on stderr before it ends, far less than a pipe holds.
        for line in process.stdout or ():
            for percent in _PERCENT.findall(line)[-1:]:
                progress(stage, int(size * float(percent) / 100), size)
        stderr = process.stderr.read() if process.stderr else ""
    if process.returncode:
        raise system_tool.failure("qemu-img", process.returncode, stderr)
    progress(stage, size, size)
