# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel package, unpacked into the cache without installing it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Roots of the module tree that the guest needs; what they depend on is read from the modules.
MODULES = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "virtio_console", "virtio-rng")


@dataclass(frozen=True)
class Kernel:
    """``modules`` in the order in which they can be inserted."""

    release: str
    image: Path
    modules: tuple[Path, ...]


def fetch(cache: Path) -> Kernel:
    """The kernel of ``linux-image-cloud-amd64``, downloaded once.

    Debian's for virtual machines: under emulation it unpacks itself in half of the time.

    :raises subprocess.CalledProcessError: when the package cannot be had.
    """
    release = _release()
    root = cache / f"kernel-{release}"
    if not root.is_dir():
        _unpack(cache, release, root)
    return Kernel(release, root / f"boot/vmlinuz-{release}", _in_order(root))


def _release() -> str:
    text = _run(["apt-cache", "depends", "linux-image-cloud-amd64"])
    found = re.search(r"Depends: linux-image-(\S+-amd64)", text)
    if found is None:
        raise LookupError("linux-image-cloud-amd64 is not known to apt: run apt-get update")
    return found.group(1)


def _unpack(cache: Path, release: str, root: Path) -> None:
    unfinished = cache / "unfinished-kernel"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    # apt's own download user has no access below /root: root downloads.
    download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root"]
    download += ["-o", "Acquire::Retries=3", "download"]
    _run([*download, f"linux-image-{release}"], cwd=unfinished)
    package = next(unfinished.glob("*.deb"))
    _run(["dpkg-deb", "--extract", str(package), str(unfinished / "root")])
    unfinished_root = unfinished / "root"
    _drop_unneeded(unfinished_root)
    unfinished_root.rename(root)
    shutil.rmtree(unfinished)


def _drop_unneeded(root: Path) -> None:
    """Keep the kernel and the modules that are used: 15 MB instead of 100."""
    needed = set(_in_order(root))
    for path in root.rglob("*"):
        if path.is_file() and path not in needed and not path.name.startswith("vmlinuz-"):
            path.unlink()


def _in_order(root: Path) -> tuple[Path, ...]:
    available = {_name(path.stem): path for path in root.rglob("*.ko")}
    ordered: dict[Path, None] = {}

    def add(name: str) -> None:
        path = available.get(name)
        if path is None:
            return  # built in
        for dependency in _dependencies(path):
            add(dependency)
        ordered[path] = None

    for name in MODULES:
        add(_name(name))
    return tuple(ordered)


def _dependencies(module: Path) -> list[str]:
    """The ``depends=`` entry of the module's .modinfo section."""
    found = re.search(rb"\0depends=([^\0]*)\0", module.read_bytes())
    names = found.group(1).decode() if found else ""
    return [_name(name) for name in names.split(",") if name]


def _name(module: str) -> str:
    return module.replace("-", "_")


def _run(argv: list[str], cwd: Path | None = None) -> str:
    result = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode:
        raise subprocess.CalledProcessError(result.returncode, argv, result.stdout, result.stderr)
    return result.stdout
