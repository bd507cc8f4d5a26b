# SPDX-License-Identifier: Apache-2.0
"""A compute host is set up, twice, checked and set back; nothing of anybody else is lost."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from pathlib import Path

import pytest

from e2etrust_nova.host_setup import checks, items, main
from e2etrust_nova.host_setup.checks import Machine, run
from e2etrust_nova.host_setup.items import (
    AGENT_CONF,
    HOOK,
    HOOK_BESIDE,
    LOGROTATE,
    UNIT,
    VERIFIER_KEYS,
)
from e2etrust_nova.host_setup.tree import Tree
from tests.unit.verifier_key import new_signer, pin

COMMANDS = Path(sys.executable).parent
NOVA = "[DEFAULT]\ntransport_url = rabbit://nova:p%40ss@bus:5672/\nhost = compute-7\n[libvirt]\n"
FOREIGN = "#!/bin/sh\n# another product's\n"


@pytest.fixture
def keys(tmp_path):
    return str(pin(tmp_path / "jwks.json", new_signer()))


@pytest.fixture
def root(tmp_path):
    """A host with Debian's directories."""
    for name in (
        "etc/libvirt/hooks",
        "etc/systemd/system",
        "etc/logrotate.d",
        "var/lib",
        "etc/nova",
    ):
        (tmp_path / "host" / name).mkdir(parents=True)
    (tmp_path / "host/etc/nova/nova.conf").write_text(NOVA)
    return tmp_path / "host"


def call(root: Path, *arguments: str) -> int:
    return main.main(
        [
            f"--root={root}",
            f"--commands={COMMANDS}",
            f"--nova-conf={root}/etc/nova/nova.conf",
            *arguments,
        ]
    )


def done(root, capsys, *arguments: str) -> dict[str, str]:
    capsys.readouterr()
    assert call(root, "--json", *arguments) == 0
    told = json.loads(capsys.readouterr().out)
    return {one["path"]: one["outcome"] for one in told["done"]}


def everything(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def below(root: Path, name: str) -> Path:
    return root / name.lstrip("/")


def test_host_is_set_up(root, capsys):
    assert set(done(root, capsys).values()) == {"created"}
    hook = below(root, HOOK)
    assert hook.stat().st_mode & 0o777 == 0o755
    assert f'exec {COMMANDS}/e2etrust-libvirt-hook "$@"' in hook.read_text()
    assert f"ExecStart={COMMANDS}/e2etrust-agent\n" in below(root, UNIT).read_text()
    conf = below(root, AGENT_CONF)
    assert conf.stat().st_mode & 0o777 == 0o600
    assert "transport_url = rabbit://nova:p%40ss@bus:5672/\n" in conf.read_text()
    assert "host = compute-7\n" in conf.read_text()


def test_verifiers_keys_are_pinned_and_replaced(root, keys, capsys):
    assert done(root, capsys, "--verifier-keys", keys)[VERIFIER_KEYS] == "created"
    assert f"[agent]\nverifier_keys = {VERIFIER_KEYS}\n" in below(root, AGENT_CONF).read_text()
    assert below(root, VERIFIER_KEYS).read_text() == Path(keys).read_text()
    pin(Path(keys), new_signer())
    assert done(root, capsys, "--verifier-keys", keys)[VERIFIER_KEYS] == "updated"
    assert below(root, VERIFIER_KEYS).read_text() == Path(keys).read_text()


def test_host_that_had_no_keys_is_told_to_name_them(root, keys, capsys):
    call(root)
    call(root, "--verifier-keys", keys)
    assert "set [agent] verifier_keys" in capsys.readouterr().out


def test_file_that_is_no_key_set_is_pinned_by_nobody(root, keys, capsys):
    Path(keys).write_text("{}")
    assert call(root, "--verifier-keys", keys) == 1
    assert "key jwks" in capsys.readouterr().err
    assert not below(root, VERIFIER_KEYS).exists()


def test_set_up_twice_changes_nothing(root, capsys):
    call(root)
    before = everything(root)
    assert set(done(root, capsys).values()) == {"unchanged"}
    assert everything(root) == before


def test_undo_leaves_what_was_there_before(root, capsys):
    before = everything(root)
    directories = {path for path in root.rglob("*") if path.is_dir()}
    call(root)
    found = done(root, capsys, "--undo")
    assert {HOOK, UNIT, LOGROTATE, AGENT_CONF} <= found.keys()
    assert everything(root) == before
    left = {path for path in root.rglob("*") if path.is_dir()} - directories
    assert left <= {root / "var/lib/e2etrust"}  # the agent's keys may be there


def test_dry_run_writes_nothing(root, capsys):
    before = everything(root)
    assert set(done(root, capsys, "--dry-run").values()) == {"created"}
    assert everything(root) == before
    call(root)
    before = everything(root)
    assert done(root, capsys, "--undo", "--dry-run")[HOOK] == "removed"
    assert everything(root) == before


def test_hook_of_another_product_stays_and_ours_stands_beside_it(root, capsys):
    below(root, HOOK).write_text(FOREIGN)
    found = done(root, capsys)
    assert HOOK not in found
    assert found[HOOK_BESIDE] == "created"
    assert below(root, HOOK).read_text() == FOREIGN
    assert below(root, HOOK_BESIDE).stat().st_mode & 0o111
    done(root, capsys, "--undo")
    assert below(root, HOOK).read_text() == FOREIGN
    assert not below(root, HOOK_BESIDE).exists()


def test_hook_of_an_older_release_is_brought_up_to_date(root, capsys, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr("e2etrust_nova.host_setup.templates.hook", lambda _: b"#!/bin/sh\n")
        call(root)
    found = done(root, capsys)
    assert found[HOOK] == "updated"
    assert found[UNIT] == "unchanged"


def test_operators_configuration_is_never_touched(root, capsys):
    call(root)
    conf = below(root, AGENT_CONF)
    conf.write_text("[DEFAULT]\ntransport_url = rabbit://mine/\n")
    assert done(root, capsys)[AGENT_CONF] == "unchanged"
    assert done(root, capsys, "--undo")[AGENT_CONF] == "kept"
    assert "mine" in conf.read_text()


def test_unit_that_is_somebody_elses_stops_it_before_the_hook_is_there(root, capsys):
    below(root, UNIT).write_text("[Unit]\n")
    assert call(root) == 1
    told = capsys.readouterr().err
    assert UNIT in told
    assert "what to do:" in told
    assert below(root, UNIT).read_text() == "[Unit]\n"
    assert not below(root, HOOK).exists()
    below(root, UNIT).unlink()
    assert call(root) == 0
    assert below(root, HOOK).exists()


@pytest.mark.parametrize("name", [HOOK, UNIT, AGENT_CONF, "/var/lib/e2etrust/host-setup.json"])
def test_link_is_not_followed(root, capsys, name):
    target = root.parent / "elsewhere"
    target.write_text("precious")
    place = below(root, name)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    assert call(root) == 1
    assert "symbolic link" in capsys.readouterr().err
    assert target.read_text() == "precious"


def test_directory_that_is_a_link_is_not_followed(root, capsys):
    (root / "etc/libvirt/hooks").rmdir()
    (root.parent / "hooks").mkdir()
    (root / "etc/libvirt/hooks").symlink_to(root.parent / "hooks")
    assert call(root) == 1
    assert "symbolic link" in capsys.readouterr().err
    assert list((root.parent / "hooks").iterdir()) == []


def test_directory_where_others_can_write_is_refused(root, capsys):
    (root / "etc/libvirt/hooks").chmod(0o777)
    assert call(root) == 1
    assert "chmod go-w" in capsys.readouterr().err
    assert not below(root, HOOK).exists()


def test_undo_on_a_read_only_disk_is_told(root, capsys, monkeypatch):
    assert call(root) == 0

    def read_only(path, **_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", read_only)
    assert call(root, "--undo", "--json") == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert told["code"] == "HOST_SETUP"
    assert "Read-only file system" in told["reason"]


def test_environment_without_the_hooks_command_is_refused(root, capsys):
    assert main.main([f"--root={root}", f"--commands={root}"]) == 1
    assert "e2etrust[host]" in capsys.readouterr().err
    assert not below(root, HOOK).exists()


def test_without_novas_configuration_it_says_what_is_missing(root, capsys):
    (root / "etc/nova/nova.conf").unlink()
    assert call(root) == 0
    assert "set transport_url" in capsys.readouterr().out
    assert {row.name: row.outcome for row in run(machine(root))}["agent-conf"] == "fail"


# --- checks -----------------------------------------------------------------------------------


def machine(root: Path) -> Machine:
    return Machine(Tree(root), root / "etc/nova/nova.conf", root / "proc", root)


def outcomes(root: Path) -> dict[str, str]:
    return {row.name: row.outcome for row in run(machine(root))}


def libvirtd(root: Path, *, path: str = "/usr/bin:/bin", age: float = -60) -> None:
    """One that was started *age* seconds ago."""
    process = root / "proc" / "77"
    process.mkdir(parents=True)
    booted = int(time.time()) - 1000
    (root / "proc/stat").write_text(f"cpu 1 2\nbtime {booted}\n")
    ticks = int((1000 - age) * os.sysconf("SC_CLK_TCK"))
    before = " ".join(str(n) for n in range(4, 22))
    (process / "stat").write_text(f"77 (lib) virtd) S {before} {ticks} 23\n")
    (process / "comm").write_text("libvirtd\n")
    (process / "environ").write_bytes(f"A=1\0PATH={path}\0".encode())


def test_host_that_was_not_set_up_fails_and_is_told_what_to_do(root):
    rows = {row.name: row for row in run(machine(root))}
    assert rows["hook"].outcome == rows["agent-conf"].outcome == rows["tpm"].outcome == "fail"
    assert rows["hook"].remedy == "e2etrust-host-setup"
    assert all(row.remedy for row in rows.values() if row.outcome != "pass")


def test_host_that_is_ready_passes(root, keys):
    call(root, "--verifier-keys", keys)
    for name in (
        "dev/tpmrm0",
        "sys/kernel/security/tpm0/binary_bios_measurements",
        "sys/kernel/security/ima/binary_runtime_measurements",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    libvirtd(root)
    with below(root, "/etc/nova/nova.conf").open("a") as conf:
        conf.write("[workarounds]\ndisable_libvirt_livesnapshot = True\n")
    found = outcomes(root)
    assert found.pop("agent") == "fail"  # none runs here
    assert set(found.values()) == {"pass"}


def test_live_snapshots_are_told(root):
    assert outcomes(root)["snapshots"] == "warn"
    below(root, "/etc/nova/nova.conf").unlink()
    assert outcomes(root)["snapshots"] == "warn"


@pytest.mark.parametrize(
    ("path", "uuid", "outcome"),
    [
        ("/dev/vda2", "", "warn"),
        ("/swap\\040file", "", "warn"),
        ("/dev/zram0", "", "pass"),
        ("/dev/dm-1", "CRYPT-PLAIN-swap\n", "pass"),
        ("/dev/dm-1", "LVM-x\n", "warn"),
    ],
)
def test_swap_where_guests_memory_would_lie_in_plain_is_told(root, path, uuid, outcome):
    dm = root / "sys/class/block/dm-1/dm"
    dm.mkdir(parents=True)
    (dm / "uuid").write_text(uuid)
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/swaps").write_text(f"Filename\tType\tSize\n{path}\tpartition\t9\t0\t-2\n")
    assert outcomes(root)["swap"] == outcome


def test_host_that_knows_the_verifier_by_no_key_is_told(root):
    call(root)
    assert outcomes(root)["verifier-keys"] == "warn"


def test_keys_that_are_gone_are_told(root, keys):
    call(root, "--verifier-keys", keys)
    below(root, VERIFIER_KEYS).unlink()
    assert outcomes(root)["verifier-keys"] == "fail"


def test_libvirtd_from_before_the_hook_is_told(root):
    libvirtd(root, age=60)
    call(root)
    assert outcomes(root)["libvirt"] == "warn"


def test_long_path_of_libvirtd_is_told(root):
    libvirtd(root, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    assert outcomes(root)["libvirt-path"] == "warn"


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (lambda root: below(root, HOOK).chmod(0o644), "hook"),
        (lambda root: below(root, HOOK).unlink(), "hook"),
        (lambda root: below(root, HOOK).write_text(FOREIGN), "hook"),
        (lambda root: below(root, AGENT_CONF).chmod(0o644), "agent-conf"),
        (lambda root: below(root, AGENT_CONF).write_text("no configuration"), "agent-conf"),
    ],
)
def test_damage_is_seen(root, damage, check):
    call(root)
    assert outcomes(root)[check] == "pass"
    damage(root)
    assert outcomes(root)[check] == "fail"


def test_exit_status_says_whether_the_host_is_ready(root, capsys):
    assert call(root, "--check", "--json") == 1
    assert json.loads(capsys.readouterr().out)["ready"] is False


def test_broken_memory_is_told_and_nothing_is_removed(root, capsys):
    call(root)
    (root / "var/lib/e2etrust/host-setup.json").write_text("{")
    assert call(root, "--undo") == 1
    assert "is broken" in capsys.readouterr().err
    assert below(root, HOOK).exists()


def test_what_is_installed_is_what_the_checks_look_for(root):
    call(root)
    assert items.hook_in_place(Tree(root)) == HOOK


def test_start_of_a_real_process_is_read():
    began = checks._started(Path("/proc"), Path("/proc/self"))
    assert 0 < began <= time.time() + 1
    parent = checks._started(Path("/proc"), Path("/proc/1"))
    assert parent <= began
