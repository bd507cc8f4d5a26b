# SPDX-License-Identifier: Apache-2.0
"""attach, use, detach, attach again: over really sealed images, through real mounts."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from e2etrust_core.sealed.image import SealedImage
from e2etrust_nova import disk as disk_server

from .conftest import MARKER, VIRTUAL_SIZE, make_server, run

UNSEALED_UID = 12345


def contains(path, *texts):
    words = [word for text in texts for word in ("-e", text)]
    return run("grep", "-q", "-a", "-F", *words, path, check=False).returncode == 0


def test_sealed_base_is_found_under_overlay_and_container(server):
    found = disk_server.find_sealed_base(server.disk)
    assert (found.state, found.base_path) == ("overlay", server.base)
    server.attach()
    while_attached = disk_server.find_sealed_base(server.disk)
    server.detach()
    after = disk_server.find_sealed_base(server.disk)
    for again in (while_attached, after):
        assert (again.state, again.base_path, again.image) == (
            "container",
            server.base,
            found.image,
        )


def test_view_of_the_base_is_the_unsealed_disk(server):
    server.attach()
    assert run("cmp", server.plain, server.places.base).returncode == 0


def test_server_sees_the_unsealed_disk_and_what_it_writes(server):
    server.attach()
    same = run("qemu-img", "compare", "-U", "-f", "raw", "-F", "qcow2", server.plain, server.disk)
    assert "identical" in same.stdout
    server.io(
        "write -P 0x41 0 64k",
        "write -P 0x42 1000k 3M",
        "write -P 0x43 5000001 777",
        "write -z 8M 64k",
        "discard 2M 1M",
        "flush",
    )
    checks = ("read -P 0x41 0 64k", "read -P 0x43 5000001 777", "read -P 0 8M 64k")
    server.io(*checks)
    assert "No errors" in run("qemu-img", "check", server.disk).stdout
    server.detach()
    server.attach()
    server.io(*checks, "read -P 0x42 1000k 500k")


def test_disk_keeps_nothing_plain(server, tmp_path):
    server.attach()
    secret = tmp_path / "secret"
    secret.write_bytes(MARKER * 100)
    server.io(f"write -s {secret} 1M 1M", "write -P 0x5a 100M 4M", "flush")
    # The copy-on-write around a small write pulls data of the base into the container.
    server.io("write -P 1 700k 1", "flush")
    server.detach()
    assert server.disk.read_bytes()[:8] == b"E2ETCONT"
    assert not contains(server.disk, MARKER.decode(), "Z" * 64, str(server.places.base))


def test_nova_finds_no_empty_overlay_and_a_sparse_file(server):
    server.attach()
    server.detach()
    said = run("qemu-img", "info", "--output=json", server.disk).stdout
    assert '"format": "raw"' in said
    below = server.disk.stat()
    assert below.st_size > VIRTUAL_SIZE
    assert below.st_blocks * 512 < 1 << 20


def test_copy_that_fills_holes_with_zeros_is_as_good(server):
    server.attach()
    server.io("write -P 0x61 10M 1M", "flush")
    server.detach()
    copy = server.disk.with_name("copy")
    run("cp", "--sparse=never", server.disk, copy)
    copy.replace(server.disk)
    server.attach()
    server.io("read -P 0x61 10M 1M")
    assert "No errors" in run("qemu-img", "check", server.disk).stdout


def test_owner_and_mode_follow_libvirt_and_stay(server):
    os.chown(server.disk, 11, 12)
    server.attach()
    os.chown(server.disk, 64055, 107)
    os.chown(server.places.base, 64055, 107)
    seen = server.disk.stat()
    assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (64055, 107, 0o640)
    server.detach()
    below = server.disk.stat()
    assert (below.st_uid, below.st_gid, stat.S_IMODE(below.st_mode)) == (64055, 107, 0o644)


def test_other_accounts_cannot_read_the_plain_views(server):
    server.attach()
    os.chmod(server.disk.parent.parent.parent, 0o755)
    for path in (server.disk, server.places.base):
        done = subprocess.run(["cat", path], user=UNSEALED_UID, group=UNSEALED_UID,
                              extra_groups=[], capture_output=True)  # fmt: skip
        assert done.returncode != 0
        assert b"ermission" in done.stderr


def test_view_of_the_base_is_read_only_even_for_root(server):
    server.attach()
    with pytest.raises(OSError, match="Read-only|Permission"):
        server.places.base.write_bytes(b"x")
    assert run("cmp", server.plain, server.places.base).returncode == 0


def test_view_cannot_be_cut(server):
    server.attach()
    with pytest.raises(OSError, match="Invalid argument"):
        os.truncate(server.disk, 0)
    assert "No errors" in run("qemu-img", "check", server.disk).stdout


def test_qemu_locks_hold_on_the_view(server):
    """A second QEMU on the same disk is refused by QEMU's own file locks."""
    server.attach()
    first = subprocess.Popen(
        ["qemu-io", "-f", "qcow2", "-t", "none", server.disk],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        first.stdin.write(b"read 0 512\n")
        first.stdin.flush()
        assert b"read" in first.stdout.readline()
        second = server.io("read 0 512", check=False)
        assert "lock" in second.stderr
    finally:
        first.communicate()


def test_detach_is_idempotent_and_leaves_nothing(server):
    server.detach()
    server.attach()
    server.detach()
    server.detach()
    server.assert_nothing_left()


def test_attach_twice_starts_anew(server):
    server.attach()
    server.io("write -P 0x33 0 4k", "flush")
    first = server.keeper
    server.attach()
    assert server.keeper != first
    server.io("read -P 0x33 0 4k")


def test_two_servers_on_one_base_are_apart(image, tmp_path):
    one, two = make_server(image, tmp_path), make_server(image, tmp_path)
    try:
        one.attach()
        two.attach()
        one.io("write -P 1 0 1M")
        two.io("write -P 2 0 1M")
        one.io("read -P 1 0 1M")
        two.io("read -P 2 0 1M")
        attached = disk_server.list_attached(run_dir=one.run_dir)
        assert {one.instance, two.instance} <= {a.instance for a in attached}
        one.detach()
        two.io("read -P 2 0 1M")
    finally:
        one.detach()
        two.detach()


def test_key_is_in_no_argument_environment_or_log(server):
    server.attach()
    for pid in (server.keeper, *server.workers()):
        for name in ("cmdline", "environ"):
            seen = Path(f"/proc/{pid}/{name}").read_bytes()
            assert server.key not in seen
            assert server.key.hex().encode() not in seen
    server.detach()
    assert server.key.hex() not in server.log.read_text()


def test_processes_may_not_dump_core_and_lock_their_memory(server):
    server.attach()
    for pid in (server.keeper, *server.workers()):
        limits = Path(f"/proc/{pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
        status = Path(f"/proc/{pid}/status").read_text()
        (locked,) = [line for line in status.splitlines() if line.startswith("VmLck")]
        assert int(locked.split()[1]) > 0


def test_keeper_outlives_the_hook_that_started_it(image, tmp_path):
    server = make_server(image, tmp_path)
    code = (
        "import sys; from pathlib import Path; from e2etrust_nova import disk\n"
        "i, d, b, h, l, r = sys.argv[1:]\n"
        "disk.attach(disk.AttachRequest(i, Path(d), Path(b), bytes.fromhex(h), Path(l)),"
        " sys.stdin.buffer.read(), run_dir=Path(r))"
    )
    header = SealedImage.open(server.base).header_digest.hex()
    words = [server.instance, server.disk, server.base, header, server.log, server.run_dir]
    try:
        # capture_output waits for the pipes' end: the keeper must have let go of them.
        done = subprocess.run(
            [sys.executable, "-c", code, *words], input=server.key, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        stat_line = Path(f"/proc/{server.keeper}/stat").read_text()
        assert stat_line.rpartition(")")[2].split()[1] == "1"  # init's child
        server.io("read 0 4k")
    finally:
        server.detach()
