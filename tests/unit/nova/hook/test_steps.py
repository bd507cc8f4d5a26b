# SPDX-License-Identifier: Apache-2.0
"""The hook's decisions: which start is admitted, which refused, and what is left behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2etrust_agent.client import LaunchOpened
from e2etrust_agent.client.reports import waiting
from e2etrust_agent.errors import AgentDownError
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.launch_domain import domain_demand
from e2etrust_core.messages import Challenge, RemoteRefusal
from e2etrust_nova import disk
from e2etrust_nova.disk import SealedBase
from e2etrust_nova.errors import DiskRefusedError, DiskServerError, LaunchRefused, VtpmError
from e2etrust_nova.hook import gate, steps
from e2etrust_nova.hook.launch_state import LaunchStates
from e2etrust_nova.hook.qemu_process import qemu_pid
from e2etrust_nova.vtpm.process import VtpmProcess
from tests.unit.nova.hook.real_domain import INSTANCE, TRUST_SPEC, domain_xml, plain_xml

NONCE = b"n" * 32


@dataclass(frozen=True)
class Image:
    header_digest: bytes = b"h" * 32
    root: bytes = b"r" * 32
    key_id: str = "key-1"


@dataclass
class Agent:
    """The agent's client, with what it was told."""

    key: bytes | None = None
    refusal: E2ETrustError | None = None
    refusal_at: str = "launch_begin"
    told: list[tuple[str, Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        def call(request: Any) -> Any:
            self.told.append((name, request))
            if self.refusal is not None and self.refusal_at in (name, "all"):
                raise self.refusal
            if name == "launch_begin":
                return Challenge(NONCE, 30.0, {"sha256": [0]}, False, "lease-1")
            if name == "launch_finish":
                return LaunchOpened("launch-1", "record", self.key)
            return None

        return call

    def names(self) -> list[str]:
        return [name for name, _ in self.told]


class Host:
    """A host's outside, as far as the hook touches it."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.agent = Agent()
        self.sealed: SealedBase | None = None
        self.disk_calls: list[str] = []
        self.measured: list[Any] = []
        self.removed: list[str] = []
        self.attached: Any = None
        self.attach_fails: Exception | None = None
        self.vtpm = VtpmProcess(1, tmp_path / "ctrl", incoming=False)
        self.states = LaunchStates(tmp_path / "launches")
        self.reports = tmp_path / "reports"
        self.firmware = tmp_path / "code.fd"
        self.firmware.write_bytes(b"firmware")
        real = gate.Gate
        monkeypatch.setattr(gate, "Gate", lambda: real(self.agent, self.states, self.reports))
        monkeypatch.setattr(steps, "LAUNCH_DIR", str(tmp_path / "launches"))
        monkeypatch.setattr(steps, "DISK_DIR", str(tmp_path / "disks"))
        self.every_server = tmp_path / "every-server"
        monkeypatch.setattr(steps, "EVERY_SERVER_FILE", str(self.every_server))
        monkeypatch.setattr(disk, "find_sealed_base", self._find_sealed)
        monkeypatch.setattr(gate, "attach", self._attach)
        monkeypatch.setattr(gate, "detach", lambda instance: self.disk_calls.append("detach"))
        monkeypatch.setattr(gate, "remove_stale", self.removed.append)
        monkeypatch.setattr(gate, "find_vtpm", lambda instance: self.vtpm)
        monkeypatch.setattr(gate, "measure", self._measure)

    def _find_sealed(self, path: Path) -> SealedBase | None:
        return self.sealed if path.name != "disk.rescue" else None

    def _attach(self, request: Any, key: bytes) -> None:
        self.disk_calls.append(f"attach {key.decode()}")
        self.attached = request
        if self.attach_fails:
            raise self.attach_fails

    def _measure(self, socket: Path, measurement: Any) -> None:
        self.measured.append(measurement)

    def run(self, step: str, text: bytes | None = None) -> None:
        edit = ("/usr/share/OVMF/OVMF_CODE_4M.fd", str(self.firmware))
        steps.run(step, text if text is not None else domain_xml(f"{step}-begin", edit))

    def seal(self, state: Any = "overlay") -> None:
        self.sealed = SealedBase(Path("/d/disk"), Path("/d/_base/x"), Image(), state)  # type: ignore[arg-type]
        self.agent.key = b"KEY"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def refused(host: Host, step: str, text: bytes | None = None) -> str:
    with pytest.raises(E2ETrustError) as caught:
        host.run(step, text)
    return caught.value.code


def test_plain_server_never_meets_the_agent(host: Host) -> None:
    for step in ("prepare", "start", "started", "release"):
        host.run(step, plain_xml())
    assert host.agent.told == []
    assert host.disk_calls == []


def test_trusted_server_is_measured_granted_and_kept(host: Host) -> None:
    host.run("prepare")
    assert host.agent.names() == ["launch_begin", "launch_finish"]
    request = host.agent.told[1][1]
    assert request.nonce == NONCE
    measurement = request.request.measurement
    assert measurement.firmware == hashlib.sha256(b"firmware").digest()
    assert (measurement.lease, measurement.sealed_header) == ("lease-1", None)
    assert request.request.vtpm
    assert host.removed == [INSTANCE]
    state = host.states.load(INSTANCE)
    assert state is not None
    assert state.launch == "launch-1"


def test_level_that_is_demanded_goes_with_the_request(host: Host) -> None:
    new = '<nova:extraSpec name="trust:min_level">3</nova:extraSpec>'
    edits = ("/usr/share/OVMF/OVMF_CODE_4M.fd", str(host.firmware)), (TRUST_SPEC, new)
    host.run("prepare", domain_xml("prepare-begin", *edits))
    assert host.agent.told[1][1].request.level == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [("trust:min_level", "12"), ("trust:min_level", "x"), ("trust:trusted_host", "yes")],
)
def test_demand_that_nobody_can_read_is_refused_and_reported(
    host: Host, key: str, value: str
) -> None:
    new = f'<nova:extraSpec name="{key}">{value}</nova:extraSpec>'
    text = domain_xml("prepare-begin", (TRUST_SPEC, new))
    assert refused(host, "prepare", text) == "DEMAND_UNREADABLE"
    assert host.agent.names() == ["refused"]


def test_plain_server_is_gated_where_the_host_demands_trust_for_every_server(host: Host) -> None:
    host.every_server.touch()
    edit = ("/usr/share/OVMF/OVMF_CODE_4M.fd", str(host.firmware))
    host.run("prepare", domain_xml("prepare-begin", edit, (TRUST_SPEC, "")))
    assert host.agent.names() == ["launch_begin", "launch_finish"]
    assert host.agent.told[1][1].request.level == 1


def test_agent_that_is_down_lets_no_server_start_where_all_demand_trust(host: Host) -> None:
    host.every_server.touch()
    host.agent.refusal, host.agent.refusal_at = AgentDownError("down"), "all"
    assert refused(host, "prepare", plain_xml()) == "AGENT_DOWN"


def test_where_it_cannot_be_told_whether_all_demand_trust_they_do(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.every_server.touch()
    monkeypatch.setattr(steps, "EVERY_SERVER_FILE", f"{host.every_server}/below-a-file")
    host.agent.refusal, host.agent.refusal_at = AgentDownError("down"), "all"
    assert refused(host, "prepare", plain_xml()) == "AGENT_DOWN"


def test_sealed_image_adds_to_the_demand_of_a_plain_flavor(host: Host) -> None:
    host.seal()
    plain = domain_xml("prepare-begin", ("/usr/share/OVMF/OVMF_CODE_4M.fd", str(host.firmware)))
    host.run("prepare", plain.replace(b"trust:trusted_host", b"hw:other"))
    request = host.agent.told[1][1].request
    assert (request.key_id, request.measurement.sealed_header) == ("key-1", b"h" * 32)
    assert host.disk_calls == ["detach", "attach KEY"]
    assert host.attached.header == request.measurement.sealed_header


DISK = f"<source file='/var/lib/nova/instances/{INSTANCE}/disk'/>"
FIRST = "<disk type='file' device='disk'>"


def test_sealed_server_does_not_go_on_from_memory_in_a_file(host: Host) -> None:
    """Whoever can write to the host's disk would have the sealed disk opened beside his system."""
    host.run("restore", domain_xml())
    host.seal()
    assert refused(host, "restore", plain_xml()) == "MEMORY_UNMEASURED"
    assert host.agent.names() == ["refused"]
    host.run("migrate", domain_xml())


RESCUE = "<source file='/i/disk.rescue'/><boot order='1'/></disk>"


@pytest.mark.parametrize(
    ("edit", "admitted"),
    [
        ((FIRST, f"<disk type='file' device='cdrom'>{RESCUE}{FIRST}"), False),
        (("<controller type='usb'", f"{FIRST}{RESCUE}<controller type='usb'"), False),
        (("<boot dev='hd'/>", "<boot dev='network'/><boot dev='hd'/>"), False),
        ((FIRST, f"<disk type='network' device='disk'><source name='v'/></disk>{FIRST}"), False),
        ((DISK, f"{DISK}<boot order='1'/>"), True),
        ((DISK, f"{DISK}<boot order='first'/>"), False),
        ((FIRST, f"<interface><boot order='10'/></interface>{FIRST}<boot order='9'/>"), True),
        ((FIRST, f"<interface><boot order='1'/></interface>{FIRST}<boot order='2'/>"), False),
        ((FIRST, f"<disk type='file' device='cdrom'><source file='/i/c'/></disk>{FIRST}"), True),
    ],
)
def test_sealed_disk_is_opened_for_the_system_on_it_only(
    host: Host, edit: tuple[str, str], admitted: bool
) -> None:
    """Found by attack: a rescue with an image of one's own had the sealed disk opened beside it."""
    loader = ("/usr/share/OVMF/OVMF_CODE_4M.fd", str(host.firmware))
    host.run("prepare", domain_xml("prepare-begin", edit, loader))  # nothing sealed: anybody's
    host.seal()
    host.disk_calls.clear()
    if admitted:
        host.run("prepare", domain_xml("prepare-begin", edit, loader))
    else:
        assert refused(host, "prepare", domain_xml("prepare-begin", edit, loader)) == "BOOT_FOREIGN"
    assert ("attach KEY" in host.disk_calls) == admitted


def test_the_image_key_is_not_kept(host: Host, tmp_path: Path) -> None:
    host.seal()
    host.run("prepare")
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"KEY" not in kept
    assert b"S0VZ" not in kept


def test_start_measures_into_the_vtpm(host: Host) -> None:
    host.run("prepare")
    host.run("start")
    assert [m.lease for m in host.measured] == ["lease-1"]


def test_incoming_vtpm_is_left_alone(host: Host) -> None:
    host.run("migrate", domain_xml())
    host.run("prepare")
    host.vtpm = VtpmProcess(1, Path("ctrl"), incoming=True)
    host.run("start")
    assert host.removed == []
    assert host.measured == []


def test_next_start_after_a_migration_measures_again(host: Host) -> None:
    host.run("migrate", domain_xml())
    host.run("prepare")
    host.run("release", domain_xml())
    host.run("prepare")
    assert host.removed == [INSTANCE]


def test_changed_machine_is_refused_at_start(host: Host) -> None:
    host.run("prepare")
    assert refused(host, "start", domain_xml("start-begin")) == "MACHINE_CHANGED"
    assert host.measured == []
    assert host.agent.names()[-2:] == ["failed", "refused"]


def test_start_without_prepare_is_refused(host: Host) -> None:
    assert refused(host, "start") == "LAUNCH_UNKNOWN"


def test_vtpm_that_takes_no_measurement_ends_the_start(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise VtpmError("no")

    host.run("prepare")
    monkeypatch.setattr(gate, "measure", fails)
    assert refused(host, "start") == "VTPM_UNMEASURED"


def test_started_binds_the_launch(host: Host) -> None:
    host.run("prepare")
    host.run("started")
    name, request = host.agent.told[-1]
    assert (name, request.launch, request.instance) == ("started", "launch-1", INSTANCE)


def test_release_takes_everything_down(host: Host) -> None:
    host.seal()
    host.run("prepare")
    host.disk_calls.clear()
    host.run("release", domain_xml())
    assert host.disk_calls == ["detach"]
    assert host.agent.names()[-1] == "ended"
    assert host.states.load(INSTANCE) is None


def test_release_goes_on_without_the_agent(host: Host) -> None:
    host.run("prepare")
    host.agent.refusal, host.agent.refusal_at = AgentDownError("down"), "all"
    host.run("release", domain_xml())
    assert host.states.load(INSTANCE) is None


def test_release_of_an_unreadable_domain_is_not_refused(host: Host) -> None:
    host.run("release", b"<domain/>")


def test_refusal_of_the_verifier_is_the_hooks_refusal(host: Host) -> None:
    host.agent.refusal = RemoteRefusal("PCR 9 is not accepted", code="PCR_MISMATCH", remedy="r")
    assert refused(host, "prepare") == "PCR_MISMATCH"
    note = host.agent.told[-1][1]
    assert (note.instance, note.refusal.code) == (INSTANCE, "PCR_MISMATCH")
    assert note.project == "bb0000000000000000000000000000bb"
    assert host.states.load(INSTANCE) is None


def test_lease_renewed_meanwhile_is_measured_anew_once(host: Host) -> None:
    host.agent.refusal = RemoteRefusal("changed", code="LEASE_CHANGED")
    host.agent.refusal_at = "launch_finish"
    assert refused(host, "prepare") == "LEASE_CHANGED"
    assert host.agent.names().count("launch_finish") == 2


def test_agent_that_is_down_refuses_and_the_refusal_waits_on_disk(host: Host) -> None:
    host.agent.refusal, host.agent.refusal_at = AgentDownError("down"), "all"
    assert refused(host, "prepare") == "AGENT_DOWN"
    (left,) = waiting(host.reports)
    assert left.report.refusal is not None
    assert left.report.refusal.refusal.code == "AGENT_DOWN"


def test_failed_attach_undoes_the_launch(host: Host) -> None:
    host.seal()
    host.attach_fails = DiskServerError("no", code="KEY_WRONG")
    assert refused(host, "prepare") == "KEY_WRONG"
    assert host.disk_calls[-1] == "detach"
    assert host.agent.names()[-2:] == ["failed", "refused"]
    assert host.states.load(INSTANCE) is None


def test_unforeseen_failure_refuses_as_well(host: Host) -> None:
    host.seal()
    host.attach_fails = RuntimeError("boom")
    assert refused(host, "prepare") == "HOOK_FAILED"
    assert host.states.load(INSTANCE) is None


@pytest.mark.parametrize("state", ["unsupported-raw", "unsupported-base"])
def test_sealed_disk_of_an_unsupported_kind_is_refused(host: Host, state: str) -> None:
    host.seal(state)
    assert refused(host, "prepare") == "UNSUPPORTED_DISK"


def test_image_that_must_be_sealed_and_is_not_is_refused(host: Host) -> None:
    edit = ('name="hw_firmware_type">uefi', 'name="e2etrust_sealed">main')
    assert refused(host, "prepare", domain_xml("prepare-begin", edit)) == "IMAGE_NOT_SEALED"
    assert host.agent.names() == ["refused"]
    loader = ("/usr/share/OVMF/OVMF_CODE_4M.fd", str(host.firmware))
    host.seal()
    host.run("prepare", domain_xml("prepare-begin", edit, loader))
    assert "attach KEY" in host.disk_calls


def test_second_disk_that_is_sealed_is_refused(host: Host) -> None:
    host.seal()
    second = "<disk type='file' device='disk'><source file='/i/disk.eph0'/></disk>"
    text = domain_xml("prepare-begin", ("</devices>", f"{second}</devices>"))
    assert refused(host, "prepare", text) == "UNSUPPORTED_DISK"
    assert host.agent.names() == ["refused"]


def test_disk_as_nova_makes_none_is_refused_where_trust_is_demanded(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(path: Path) -> None:
        raise DiskRefusedError("outside", code="BASE_OUTSIDE")

    monkeypatch.setattr(disk, "find_sealed_base", find)
    assert refused(host, "prepare") == "BASE_OUTSIDE"
    host.run("prepare", plain_xml())


def test_grant_without_the_image_key_opens_nothing(host: Host) -> None:
    host.seal()
    host.agent.key = None
    assert refused(host, "prepare") == "KEY_DENIED"
    assert host.disk_calls == ["detach", "detach"]


def test_views_without_a_launch_start_nothing(host: Host, tmp_path: Path) -> None:
    (tmp_path / "disks" / INSTANCE).mkdir(parents=True)
    assert refused(host, "start", plain_xml("start-begin")) == "LAUNCH_UNKNOWN"


def test_refusal_of_the_verifiers_is_not_asked_twice(host: Host) -> None:
    host.agent.refusal, host.agent.refusal_at = RemoteRefusal("no", code="X"), "launch_finish"
    assert refused(host, "prepare") == "X"
    assert host.agent.names().count("launch_begin") == 1


def test_process_in_qemus_place_is_none(tmp_path: Path) -> None:
    domain = domain_demand(domain_xml())
    for words, code in (([INSTANCE], ""), (["another"], "QEMU_UNKNOWN")):
        program, pipe = ["sh", "-c", "echo; read x", *words], subprocess.PIPE
        with subprocess.Popen(program, stdin=pipe, stdout=pipe) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it runs: its words are there
            (tmp_path / f"{domain.name}.pid").write_text(str(process.pid))
            try:
                found, said = qemu_pid(domain, tmp_path), ""
            except LaunchRefused as exc:
                found, said = process.pid, exc.code
            process.communicate(b"")
        assert (found, said) == (process.pid, code)


def test_unreadable_domain_is_refused(host: Host) -> None:
    assert refused(host, "prepare", b"<domain>") == "DOMAIN_UNREADABLE"


def test_launch_state_that_is_a_link_is_refused(host: Host, tmp_path: Path) -> None:
    host.run("prepare")
    path = tmp_path / "launches" / f"{INSTANCE}.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert refused(host, "start") == "STATE_BROKEN"


def run_hook(*arguments: str, stdin: bytes = b"", before: str = "") -> subprocess.CompletedProcess:
    code = f"import sys\n{before}\nfrom e2etrust_nova.hook.main import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], input=stdin, capture_output=True, env=os.environ
    )


@pytest.mark.parametrize("step", [("stopped", "end"), ("reconnect", "begin"), ("nonsense", "x")])
def test_steps_of_no_concern_end_at_once(step: tuple[str, str]) -> None:
    done = run_hook("vm", *step, "-", stdin=b"not xml")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_refusal_is_one_line_that_begins_with_its_code() -> None:
    done = run_hook("vm", "prepare", "begin", "-", stdin=b"<domain")
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"DOMAIN_UNREADABLE: ")
    assert done.stderr.count(b"\n") == 1


def test_plain_server_loads_neither_agent_nor_crypto() -> None:
    before = (
        "import atexit\n"
        "heavy = ('oslo_config', 'oslo_messaging', 'libvirt', 'cryptography', 'tpm2_pytss')\n"
        "atexit.register(lambda: print([m for m in heavy if m in sys.modules]))"
    )
    done = run_hook("vm", "prepare", "begin", "-", stdin=plain_xml(), before=before)
    assert (done.returncode, done.stdout) == (0, b"[]\n")
