# SPDX-License-Identifier: Apache-2.0
"""The guest image of the story, with the secret in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from e2edemo.stage import Stage
from e2eguest import GuestImage, build


def image_with_secret(stage: Stage) -> Path:
    """Build the 1 GiB raw guest image; its ext4 holds the stage's secret file."""
    path = stage.work / "guest.img"
    image = GuestImage(stage.secret.encode() + b"\n", secret_name=stage.secret_name)
    return build(image, path, stage.cloud.cache)


def as_qcow2(stage: Stage, source: Path) -> Path:
    """Return *source* as a compact qcow2 beside it."""
    path = stage.work / "guest.qcow2"
    subprocess.run(
        ["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(source), str(path)],
        check=True,
    )
    return path
