# SPDX-License-Identifier: Apache-2.0
"""The unified kernel image: systemd's EFI stub with kernel, initramfs and command line in it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from e2eguest import cpio
from e2eguest.kernel import Kernel

STUB = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=3 panic=5 tsc=reliable no_timer_check mitigations=off "
    "random.trust_cpu=on raid=noautodetect cryptomgr.notests nokaslr"
)
_INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
for module in {modules}; do
    /bin/busybox insmod /modules/$module || echo "E2E-GUEST no $module"
done
tries=0
until root=$(/bin/busybox findfs LABEL=root 2>/dev/null); do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || {{ echo "E2E-GUEST no root file system"; /bin/busybox poweroff -f; }}
    /bin/busybox usleep 50000
done
/bin/busybox mount -t ext4 "$root" /root || {{
    echo "E2E-GUEST root does not mount"
    /bin/busybox poweroff -f
}}
/bin/busybox mount --move /dev /root/dev
/bin/busybox umount /proc
exec /bin/busybox switch_root /root /sbin/init
"""


def build(kernel: Kernel) -> bytes:
    """The guest's EFI program; the same bytes for the same kernel and tools."""
    return assemble(
        {
            ".osrel": b'ID=e2etrust-guest\nNAME="E2ETrust guest"\n',
            ".cmdline": COMMAND_LINE.encode() + b"\0",
            ".initrd": _initramfs(kernel),
            ".linux": kernel.image.read_bytes(),
        }
    )


def assemble(sections: Mapping[str, bytes]) -> bytes:
    """The stub with these sections behind its own, in this order."""
    with tempfile.TemporaryDirectory() as name:
        argv = ["objcopy"]
        address = _end_of_sections(STUB)
        for section, data in sections.items():
            path = Path(name, section[1:])
            path.write_bytes(data)
            argv += ["--add-section", f"{section}={path}"]
            argv += ["--change-section-vma", f"{section}={address:#x}"]
            address = _aligned(address + len(data))
        output = Path(name, "uki.efi")
        subprocess.run([*argv, str(STUB), str(output)], check=True, capture_output=True)
        return output.read_bytes()


def _initramfs(kernel: Kernel) -> bytes:
    entries = dict.fromkeys(("bin", "dev", "proc", "root", "modules"), cpio.DIRECTORY)
    entries["bin/busybox"] = cpio.program(Path("/bin/busybox").read_bytes())
    for path in kernel.modules:
        entries[f"modules/{path.name}"] = cpio.program(path.read_bytes())
    names = " ".join(path.name for path in kernel.modules)
    entries["init"] = cpio.program(_INIT.format(modules=names).encode())
    return cpio.archive(entries)


def _end_of_sections(stub: Path) -> int:
    """The first free address behind the stub's own sections."""
    text = subprocess.run(
        ["objdump", "-h", str(stub)], check=True, capture_output=True, text=True
    ).stdout
    end = 0
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 7 and fields[0].isdigit():
            end = max(end, int(fields[2], 16) + int(fields[3], 16))
    return _aligned(end)


def _aligned(address: int) -> int:
    return (address + 0xFFFF) & ~0xFFFF
