# SPDX-License-Identifier: Apache-2.0
"""A TPM chip for each compute host: an swtpm that the host cannot end, only power-cycle.

It runs in the cloud's namespace but outside of the host's, so the host's services and even the
host's PID 1 come and go without it. Its seeds, EK and NV memory persist in a file. At power-on it
gets _TPM_INIT; TPM2_Startup is left to the host's firmware, as the TCG's platform specification
wants it, and so resetCount goes up with every power cycle.
"""

from __future__ import annotations

import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from e2ecloud import namespace as ns
from e2ecloud import process
from e2ecloud.layout import TPM_RUN_DIR, Cloud, Host

# Inside the host; the socket's control channel is the same path with ".ctrl" (libtss2-tcti-swtpm).
TCTI = "swtpm:path=/run/e2etrust-tpm/tpm.sock"
BANKS = ("sha1", "sha256")
_CA_FILES = ("issuercert.pem", "swtpm-localca-rootca-cert.pem")


@dataclass(frozen=True)
class TpmClock:
    """TPMS_TIME_INFO of TPM2_ReadClock: counters, and milliseconds of operation."""

    reset_count: int
    restart_count: int
    clock_ms: int


def manufacture(cloud: Cloud, host: Host) -> None:
    """Make the chip of ``host``: seeds, EKs, and EK certificates by the cloud's own maker's CA."""
    state = _state(cloud, host)
    if state.is_dir():
        return
    configuration = _maker_configuration(cloud)
    unfinished = state.with_name(state.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    log = cloud.log / f"tpm-{host.name}.log"
    process.run_here(
        [
            *("swtpm_setup", "--tpm2", "--tpmstate", str(unfinished)),
            *("--config", str(configuration), "--vmid", host.name),
            *("--create-ek-cert", "--create-platform-cert", "--lock-nvram"),
            *("--pcr-banks", ",".join(BANKS)),
        ],
        log=log,
    )
    unfinished.rename(state)


def ca_bundle(cloud: Cloud) -> str:
    """PEM of the chips' maker: root and issuing CA, for the verifier's ``ek_ca_bundle``."""
    return "".join((cloud.tpm / "ca" / name).read_text() for name in _CA_FILES)


def power_on(cloud: Cloud, space: ns.Namespace, host: Host) -> None:
    """Start the chip: _TPM_INIT and nothing else. It waits for the firmware's TPM2_Startup."""
    wires = TPM_RUN_DIR / host.name
    process.run(space, ["mkdir", "-p", str(wires)])
    program = process.Program(
        f"tpm-{host.name}",
        [
            *("swtpm", "socket", "--tpm2", "--flags", "not-need-init"),
            *("--tpmstate", f"dir={_state(cloud, host)}"),
            *("--server", f"type=unixio,path={wires}/tpm.sock"),
            *("--ctrl", f"type=unixio,path={wires}/tpm.sock.ctrl"),
        ],
        cloud.log / f"tpm-{host.name}.log",
    )
    process.start(space, program, _record(cloud, host))
    process.wait_until(
        lambda: _exists(space, wires / "tpm.sock"),
        f"the TPM of {host.name}",
        timeout=10,
        log=program.log,
        interval=0.02,
    )


def power_off(cloud: Cloud, space: ns.Namespace, host: Host) -> None:
    """Take the chip's power away, without TPM2_Shutdown, as a power cut does."""
    process.stop(space, _record(cloud, host), signal.SIGKILL)
    wires = TPM_RUN_DIR / host.name
    process.run(space, ["rm", "-f", f"{wires}/tpm.sock", f"{wires}/tpm.sock.ctrl"])


def running(cloud: Cloud, space: ns.Namespace, host: Host) -> bool:
    return process.pid_of(space, _record(cloud, host)) is not None


def read_clock(host_space: ns.Namespace) -> TpmClock:
    """TPM2_ReadClock as the host sees it."""
    text = process.run(host_space, ["tpm2_readclock"], environment={"TPM2TOOLS_TCTI": TCTI})
    return TpmClock(*(_number(text, name) for name in ("reset_count", "restart_count", "clock")))


def extend(host_space: ns.Namespace, pcr: int, digest_sha256: str) -> None:
    """TPM2_PCR_Extend by the host's root, into the sha256 bank."""
    argv = ["tpm2_pcrextend", f"{pcr}:sha256={digest_sha256}"]
    process.run(host_space, argv, environment={"TPM2TOOLS_TCTI": TCTI})


def _number(text: str, name: str) -> int:
    found = re.search(rf"^\s*{name}: (\d+)\s*$", text, re.MULTILINE)
    if found is None:
        raise process.CloudError(f"tpm2_readclock told no {name}")
    return int(found.group(1))


def _exists(space: ns.Namespace, path: Path) -> bool:
    return Path(f"/proc/{space.init_pid}/root{path}").exists()


def _state(cloud: Cloud, host: Host) -> Path:
    return cloud.tpm / host.name


def _record(cloud: Cloud, host: Host) -> Path:
    return cloud.run / f"tpm-{host.name}"


def _maker_configuration(cloud: Cloud) -> Path:
    """Configuration files of swtpm_setup and its CA, for a CA that lives in the cloud."""
    authority = cloud.tpm / "ca"
    authority.mkdir(parents=True, exist_ok=True)
    authority.chmod(0o700)
    options = authority / "options"
    options.write_text(
        "--platform-manufacturer E2ETrust\n--platform-version 1.0\n--platform-model cloud\n"
    )
    local_ca = authority / "localca.conf"
    local_ca.write_text(
        f"statedir = {authority}\nsigningkey = {authority}/signkey.pem\n"
        f"issuercert = {authority}/issuercert.pem\ncertserial = {authority}/certserial\n"
    )
    setup = authority / "setup.conf"
    setup.write_text(
        "create_certs_tool = /usr/bin/swtpm_localca\n"
        f"create_certs_tool_config = {local_ca}\ncreate_certs_tool_options = {options}\n"
        f"active_pcr_banks = {','.join(BANKS)}\n"
    )
    return setup
