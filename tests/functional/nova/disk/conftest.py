# SPDX-License-Identifier: Apache-2.0
"""A compute host's instances directory with a really sealed base in it, and Nova's overlay."""

import contextlib
import os
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2etrust_core.errors import E2ETrustError
from e2etrust_core.sealed import sealing
from e2etrust_core.sealed.image import SealedImage
from e2etrust_nova import disk as disk_server
from e2etrust_nova.disk.model import Places

MARKER = b"E2E-PLAINTEXT-MARKER"
VIRTUAL_SIZE = 256 << 20


def run(*command, check=True):
    """Run a command and return it with its output."""
    return subprocess.run(
        [str(word) for word in command], check=check, capture_output=True, text=True, timeout=300
    )


def refused(call, *arguments):
    """The code with which a call is refused."""
    with pytest.raises(E2ETrustError) as caught:
        call(*arguments)
    return caught.value.code


def ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet reaped by init."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@dataclass
class Server:
    """One server of the host: Nova's files, and what the hook would do for it."""

    instances: Path
    base: Path
    plain: Path
    key: bytes
    run_dir: Path
    instance: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self):
        self.disk.parent.mkdir(parents=True)
        self.log = self.run_dir.parent / f"{self.instance}.log"
        self.overlay()

    @property
    def disk(self) -> Path:
        return self.instances / self.instance / "disk"

    @property
    def places(self) -> Places:
        return Places(self.run_dir, self.instance)

    def overlay(self):
        """As Nova's libvirt_utils.create_image does."""
        run("qemu-img", "create", "-f", "qcow2", "-b", self.base, "-F", "raw", self.disk,
            VIRTUAL_SIZE)  # fmt: skip
        self.disk.chmod(0o644)

    def attach(self, key=None, header=None):
        header = SealedImage.open(self.base).header_digest if header is None else header
        request = disk_server.AttachRequest(self.instance, self.disk, self.base, header, self.log)
        disk_server.attach(request, self.key if key is None else key, run_dir=self.run_dir)

    def detach(self):
        disk_server.detach(self.instance, run_dir=self.run_dir)

    def io(self, *commands, check=True):
        """qemu-io as QEMU opens a disk with cache=none."""
        words = [word for command in commands for word in ("-c", command)]
        return run("qemu-io", "-f", "qcow2", "-t", "none", *words, self.disk, check=check)

    @property
    def keeper(self) -> int:
        return int(self.places.pid_file.read_text())

    def workers(self) -> list[int]:
        """Process ids: the base's worker, then the container's."""
        children = Path(f"/proc/{self.keeper}/task/{self.keeper}/children").read_text()
        return [int(pid) for pid in children.split()]

    def kill_worker(self, which):
        """Kill a worker and wait until the keeper has started the next one."""
        old = self.workers()
        os.kill(old[which], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while old[which] in (now := self.workers()) or len(now) < len(old):
            assert time.monotonic() < deadline, "no new worker"
            time.sleep(0.01)

    def assert_nothing_left(self):
        """No mount, process, directory or half-made file."""
        mine = [a for a in disk_server.list_attached(run_dir=self.run_dir)
                if a.instance == self.instance]  # fmt: skip
        assert mine == []
        assert not self.places.directory.exists()
        assert [p.name for p in self.disk.parent.iterdir()] == ["disk"]
        # What refused an attach has said so before it is gone.
        deadline = time.monotonic() + 30
        while self._processes():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _processes(self):
        """Command lines in which the server is named."""
        found = []
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = line.read_bytes().split(b"\0")
                found += [words] if self.instance.encode() in words else []
        return found


def make_plain(path: Path):
    """A disk without a partition table: ext4 with a named file full of markers in it."""
    tree = path.parent / "tree"
    tree.mkdir()
    (tree / f"{MARKER.decode()}.txt").write_bytes(MARKER * 5000)
    (tree / "noise").write_bytes(os.urandom(8 << 20))
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, path, "48M")


@pytest.fixture(scope="session", params=["full", "main"])
def image(request, tmp_path_factory):
    """Return (plain file, sealed file, key)."""
    directory = tmp_path_factory.mktemp(f"image-{request.param}")
    plain, sealed, key = directory / "plain", directory / "sealed", sealing.new_key()
    make_plain(plain)
    wanted = sealing.SealRequest(plain, sealed, str(uuid.uuid4()), request.param, format="raw")
    sealing.seal(wanted, key, lambda *_: None)
    return plain, sealed, key


def make_server(image, directory):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    plain, sealed, key = image
    base = directory / "instances/_base" / ("5" * 40)
    base.parent.mkdir(parents=True, exist_ok=True)
    if not base.exists():
        run("cp", "--sparse=always", sealed, base)
    return Server(directory / "instances", base, plain, key, directory / "run")


@pytest.fixture
def server(image, tmp_path):
    made = make_server(image, tmp_path)
    yield made
    made.detach()
