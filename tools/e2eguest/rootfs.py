# SPDX-License-Identifier: Apache-2.0
"""The guest's root directory: busybox, tpm2-tools, qemu-ga, the evidence script and some data."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
# Programs of the machine that go into the guest with the libraries that they load.
PROGRAMS = ("/usr/bin/tpm2", "/usr/sbin/qemu-ga")
# Loaded by name at run time, so ldd does not tell them.
PLUGINS = ("/usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0",)
APPLETS = (
    *("sh", "cat", "ls", "mount", "umount", "mkdir", "rm", "mv", "cp", "sync", "sleep", "echo"),
    *("base64", "od", "dd", "tr", "tail", "head", "mktemp", "printf", "sha256sum", "poweroff"),
    *("reboot", "grep", "sed", "cut", "find", "df", "dmesg", "ps", "kill", "ln", "chmod", "touch"),
    *("uname", "hostname", "test", "env", "wc", "sort", "cmp", "stat", "usleep", "setsid"),
)
TPM2_TOOLS = (
    *("createek", "createak", "nvread", "startauthsession", "policysecret", "quote", "pcrread"),
    *("activatecredential", "flushcontext", "getcap", "readclock", "pcrextend", "readpublic"),
)
DIRECTORIES = (
    *("dev", "proc", "sys", "run", "tmp", "etc", "root", "bin", "sbin", "usr/bin", "usr/sbin"),
    *("usr/lib/e2etrust", "var/log", "var/run", "srv/data", "home", "lib", "lib64", "usr/lib"),
)
_INIT = r"""#!/bin/sh
# PID 1 of the guest.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs securityfs /sys/kernel/security
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /run/qga
# Whatever its name is: the name itself must stand in the directory only.
for secret in /srv/secret/*; do :; done
sum=$(sha256sum "$secret" 2>/dev/null)
{
    echo "E2E-GUEST up"
    [ -c /dev/tpm0 ] && echo "E2E-GUEST vtpm"
    echo "E2E-SECRET sha256=${sum%% *} $(cat "$secret" 2>&1)"
} >/dev/console 2>&1
[ ! -x /srv/boot.local ] || /srv/boot.local >/dev/console 2>&1
agent() {
    for port in /sys/class/virtio-ports/*; do
        [ "$(cat "$port/name" 2>/dev/null)" = org.qemu.guest_agent.0 ] || continue
        exec qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run/qga -f /run/qga/pid \
            >/run/qga/log 2>&1
    done
    exit 1
}
# PID 1 stays and reaps; the agent is started again if it ends.
while :; do
    (agent)
    sleep 1
done
"""
# qemu-ga's guest-shutdown calls this; so do people.
_SHUTDOWN = """#!/bin/sh
sync
mount -o remount,ro / 2>/dev/null
poweroff -f
"""


def build(root: Path, evidence_script: Path) -> None:
    """Lay out ``root``; everything but the tenant's secret."""
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    _programs(root)
    _script(root / "sbin/init", _INIT)
    _script(root / "sbin/shutdown", _SHUTDOWN)
    shutil.copy(evidence_script, root / "usr/lib/e2etrust/guest-evidence")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/os-release").write_text('ID=e2etrust-guest\nNAME="E2ETrust guest"\n')
    _sample_data(root / "srv/data")


def inputs() -> list[Path]:
    """The machine's files that go in; together with the sources they decide the result."""
    return [BUSYBOX, *map(Path, PROGRAMS), *map(Path, PLUGINS)]


def _programs(root: Path) -> None:
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    for name in PROGRAMS:
        shutil.copy(name, root / name[1:])
    for tool in TPM2_TOOLS:
        (root / "usr/bin" / f"tpm2_{tool}").symlink_to("tpm2")
    for library in sorted({lib for name in (*PROGRAMS, *PLUGINS) for lib in _libraries(name)}):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    for plugin in PLUGINS:
        shutil.copy(plugin, root / "lib/x86_64-linux-gnu" / Path(plugin).name)


def _libraries(program: str) -> list[str]:
    output = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return re.findall(r"(?:=> |^\s*)(/\S+)", output, re.MULTILINE)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _sample_data(directory: Path) -> None:
    """A few hundred files of some size, so that the file system's metadata is not trivial."""
    for number in range(400):
        path = directory / f"department-{number % 20:02}" / f"record-{number:04}.csv"
        path.parent.mkdir(exist_ok=True)
        seed = hashlib.sha256(str(number).encode()).hexdigest()
        lines = (f"{seed},{line},{number * line}\n" for line in range(20 + number % 180))
        path.write_text("".join(lines))
