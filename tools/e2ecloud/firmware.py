# SPDX-License-Identifier: Apache-2.0
"""The host's firmware and boot loader: measured boot of what the host really runs.

``python -m e2ecloud.firmware EVENT_LOG`` runs in the host's namespaces at each boot, before any
service: TPM2_Startup(CLEAR), then one TPM2_PCR_Extend an event, then the event log. The policy
for the verifier is computed by :func:`events` from the files that were *installed*, never read
back from a TPM.

PCR use: 0 this firmware, 4 the kernel, 8 the hypervisor and its helpers, 9 E2ETrust's own parts.
PCRs 0-7 are closed by separators.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from e2ecloud import eventlog as el
from e2ecloud.tpm import BANKS, TCTI

VERSION = "E2ETrust cloud firmware 1"
EVENT_LOG = "/run/e2etrust-firmware/binary_bios_measurements"
SOFTWARE = "/opt/e2etrust"
HOOK = "/etc/libvirt/hooks/qemu"
QEMU_CONF = "/etc/libvirt/qemu.conf"
HYPERVISOR = (
    "/usr/sbin/libvirtd",
    "/usr/sbin/virtlogd",
    "/usr/bin/qemu-system-x86_64",
    "/usr/bin/swtpm",
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.fd",
)
PCRS = range(10)

# Reads a file of the host, b"" when there is none: absence is measured like any content.
Reader = Callable[[str], bytes]


def events(read: Reader, tree: bytes) -> list[el.Event]:
    """Everything that is measured, in order. ``tree`` is :func:`tree_listing` of the software."""
    found = [el.crtm_version(VERSION)]
    own = b"".join(Path(__file__).with_name(n).read_bytes() for n in ("firmware.py", "eventlog.py"))
    found.append(el.Event(0, el.EV_POST_CODE, own, b"e2ecloud firmware"))
    kernel = platform.release() + " " + platform.version()
    found.append(el.Event(4, el.EV_IPL, kernel.encode(), b"kernel " + kernel.encode()))
    found.extend(el.separator(pcr) for pcr in range(8))
    found.extend(el.Event(8, el.EV_IPL, read(path), path.encode()) for path in HYPERVISOR)
    found.extend(el.Event(9, el.EV_IPL, read(path), path.encode()) for path in (HOOK, QEMU_CONF))
    found.append(el.Event(9, el.EV_IPL, tree, SOFTWARE.encode()))
    return found


def tree_listing(root: Path) -> bytes:
    """One line a file below ``root``: SHA-256 and name, sorted. Compiled files are left out."""
    lines = []
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            if path.suffix != ".pyc":
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                lines.append(f"{digest} {path.relative_to(root)}\n")
    return "".join(sorted(lines)).encode()


def read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return b""


def boot(event_log: Path) -> None:
    """Measure this host into its TPM and leave the event log.

    :raises subprocess.CalledProcessError: when the TPM refuses: the boot stops there.
    """
    measured = events(read_file, tree_listing(Path(SOFTWARE)))
    _tpm2("tpm2_startup", "--clear")
    _tpm2("tpm2_pcrextend", *_extensions(measured))
    log = el.write(measured, BANKS)
    event_log.parent.mkdir(parents=True, exist_ok=True)
    event_log.write_bytes(log)
    event_log.chmod(0o440)


def _extensions(measured: Iterable[el.Event]) -> list[str]:
    """Arguments of tpm2_pcrextend: PCR:bank=digest,bank=digest, one an event."""
    return [
        f"{event.pcr}:" + ",".join(f"{bank}={event.digest(bank).hex()}" for bank in BANKS)
        for event in measured
    ]


def _tpm2(*argv: str) -> None:
    environment = {**os.environ, "TPM2TOOLS_TCTI": TCTI}
    subprocess.run(argv, env=environment, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    boot(Path(sys.argv[1]))
