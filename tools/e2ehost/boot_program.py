# SPDX-License-Identifier: Apache-2.0
"""What the machine boots: one EFI program on a disk, signed by the key that its firmware takes."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from e2eguest import cpio, esp, uki
from e2eguest.disk_tools import run
from e2eguest.kernel import Kernel

COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=3 panic=-1 tsc=reliable no_timer_check mitigations=off "
    "random.trust_cpu=on raid=noautodetect cryptomgr.notests nokaslr "
    "lsm=lockdown,yama,integrity,selinux "
    "enforcing=1 ima_policy=tcb|critical_data"
)
# The pair that comes with OVMF for tests: the firmware's PK, KEK and db are its certificate.
_KEY = Path("/usr/share/ovmf/PkKek-1-snakeoil.key")
_CERTIFICATE = Path("/usr/share/ovmf/PkKek-1-snakeoil.pem")
_PASSWORD = "snakeoil"

_MIB = 1 << 20
_DISK_SIZE = 48 * _MIB
_ESP_START = 1 * _MIB
_ESP_SIZE = _DISK_SIZE - 2 * _MIB

_INIT = r"""#!/bin/sh
# PID 1 of the machine.  A line on the console is run; what it says ends with "E2E-DONE STATUS".
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs securityfs /sys/kernel/security
mount -t selinuxfs selinuxfs /sys/fs/selinux
# The kernel takes a policy in one write only.
dd if=/etc/policy of=/sys/fs/selinux/load bs=1M count=1 2>/dev/null || echo "E2E-HOST no SELinux"
exec 3<>/dev/tpmrm0
tpm() {
    printf %s "$1" | xxd -r -p >&3
    dd bs=4096 count=1 2>/dev/null <&3 | base64
}
stty -icanon -echo -icrnl -opost
echo "E2E-HOST up"
while read -r line; do
    eval "$line"
    echo "E2E-DONE $?"
done
poweroff -f
"""
_APPLETS = (
    *("sh", "mount", "dd", "printf", "xxd", "base64", "stty", "cat", "echo", "poweroff"),
    *("sha256sum", "dmesg"),
)
_DIRECTORIES = ("bin", "dev", "etc", "proc", "sys", "tmp")


def boot_program(linux: Kernel, policy: bytes, command_line: str = COMMAND_LINE) -> bytes:
    """The EFI program; the same bytes for the same kernel, SELinux policy and command line."""
    entries = dict.fromkeys(_DIRECTORIES, cpio.DIRECTORY)
    entries["bin/busybox"] = cpio.program(Path("/bin/busybox").read_bytes())
    for applet in _APPLETS:
        entries[f"bin/{applet}"] = cpio.link("busybox")
    entries["etc/policy"] = cpio.program(policy)
    entries["init"] = cpio.program(_INIT.encode())
    return uki.assemble(
        {
            ".osrel": b'ID=e2etrust-host\nNAME="E2ETrust host"\n',
            ".cmdline": command_line.encode() + b"\0",
            ".initrd": cpio.archive(entries),
            ".linux": linux.image.read_bytes(),
        }
    )


def boot_disk(program: bytes, disk: Path, *, signed: bool) -> None:
    """Write a GPT disk that boots *program*, with a signature for Secure Boot if *signed*.

    :raises subprocess.CalledProcessError: when one of the tools fails.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "program.efi")
        path.write_bytes(program)
        if signed:
            path = _signed(path)
        with disk.open("wb") as file:
            file.truncate(_DISK_SIZE)
        # Always the same disk: its GUIDs are measured.
        identity = "8b2d4c8e-55a1-4c07-9d1a-6c1d8f0e7a10"
        part = "8b2d4c8e-55a1-4c07-9d1a-6c1d8f0e7a11"
        sectors = f"{_ESP_START // 512}:{(_ESP_START + _ESP_SIZE) // 512 - 1}"
        run(
            *("sgdisk", "--clear", f"--disk-guid={identity}", f"--new=1:{sectors}"),
            *("--typecode=1:ef00", f"--partition-guid=1:{part}", "--change-name=1:esp", str(disk)),
        )
        esp.write(disk, path, _ESP_START, _ESP_SIZE)


def _signed(program: Path) -> Path:
    key, output = program.with_name("key.pem"), program.with_name("signed.efi")
    decrypt = ["openssl", "rsa", "-in", str(_KEY), "-passin", f"pass:{_PASSWORD}"]
    subprocess.run([*decrypt, "-out", str(key)], check=True, capture_output=True)
    argv = ["sbsign", "--key", str(key), "--cert", str(_CERTIFICATE), "--output", str(output)]
    subprocess.run([*argv, str(program)], check=True, capture_output=True)
    return output
