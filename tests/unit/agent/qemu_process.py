# SPDX-License-Identifier: Apache-2.0
"""A process that looks like the QEMU of libvirt's status file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.unit.nova.hook.real_domain import DIRECTORY


class QemuProcess:
    def __init__(self, directory: Path, program: str = "qemu-system-test") -> None:
        path = directory / program
        if not path.exists():
            shutil.copy("/bin/sleep", path)
        self.process = subprocess.Popen([path, "600"])
        text = (DIRECTORY / "status.xml").read_text()
        old = text[text.index(" pid='") :].split("'")[1]
        self.status = directory / "instance-00000007.xml"
        self.status.write_text(text.replace(f" pid='{old}'", f" pid='{self.process.pid}'"))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
