# SPDX-License-Identifier: Apache-2.0
"""Kill -9: a worker's death is not noticed by the guest, the keeper's is clean."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import time

import pytest

from e2etrust_nova import disk as disk_server
from e2etrust_nova.disk import keeper as keeping
from e2etrust_nova.errors import DiskServerError

from .conftest import ended, make_server, run

KERNEL = tuple(int(word) for word in os.uname().release.split(".")[:2])
# How processes end has nothing to do with the layout; this one has both kinds of segment.
pytestmark = pytest.mark.parametrize("image", ["main"], indirect=True)
needs_resend = pytest.mark.skipif(KERNEL < (6, 9), reason="FUSE_NOTIFY_RESEND needs Linux 6.9")


def fio(path, *more):
    assert shutil.which("fio"), "install fio (bindep.txt, profile test)"
    return subprocess.Popen(
        ["fio", "--name=v", f"--filename={path}", "--ioengine=libaio", "--direct=1",
         "--iodepth=16", "--bsrange=4k-512k", "--size=64M", "--verify=crc32c", "--verify_fatal=1",
         "--do_verify=1", "--verify_state_save=0", *more],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def error_of_reading(path):
    try:
        with open(path, "rb") as file:
            file.read(512)
    except OSError as error:
        return error.errno
    return None


@needs_resend
def test_killed_worker_loses_nothing_under_verified_writes(server):
    server.attach()
    writer = fio(server.disk, "--rw=randwrite", "--loops=3")
    kills = 0
    while writer.poll() is None and kills < 12:
        time.sleep(0.1)
        if writer.poll() is None:
            server.kill_worker(1)
            kills += 1
    output = writer.communicate(timeout=120)[0]
    assert writer.returncode == 0, output
    assert "err= 0" in output
    assert kills >= 5
    assert server.log.read_text().count("died (-9)") == kills


@needs_resend
def test_killed_worker_of_the_base_loses_no_read(server):
    server.attach()
    reader = subprocess.Popen(["sh", "-c", f"for i in 1 2 3 4 5 6 7 8; do cmp {server.plain} "
                               f"{server.places.base} || exit 1; done"])  # fmt: skip
    kills = 0
    while reader.poll() is None and kills < 8:
        time.sleep(0.05)
        server.kill_worker(0)
        kills += 1
    assert reader.wait(120) == 0
    assert kills >= 2


def test_killed_keeper_gives_errors_and_keeps_what_was_flushed(server):
    server.attach()
    server.io("write -P 0x77 20M 8M", "flush")
    os.kill(server.keeper, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (number := error_of_reading(server.disk)) is None:
        assert time.monotonic() < deadline, "the view still answers"
    assert number in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO)
    (dead,) = [
        a
        for a in disk_server.list_attached(run_dir=server.run_dir)
        if a.instance == server.instance
    ]
    assert dead.keeper is None
    assert disk_server.find_sealed_base(server.disk).state == "container"
    server.detach()
    server.assert_nothing_left()
    server.attach()
    server.io("read -P 0x77 20M 8M")


def test_attach_heals_what_a_killed_keeper_left(server):
    server.attach()
    server.io("write -P 0x66 0 4k", "flush")
    os.kill(server.keeper, signal.SIGKILL)
    server.attach()
    server.io("read -P 0x66 0 4k")


def test_detach_under_an_open_disk_ends_the_keeper_with_errors(server):
    """At release no QEMU should be left; if one is, it must not write beside the next start."""
    server.attach()
    held = os.open(server.disk, os.O_RDONLY)
    try:
        keeper = server.keeper
        server.detach()
        assert ended(keeper)
        with pytest.raises(OSError, match=r"connected|abort|Input"):
            os.pread(held, 512, 0)
    finally:
        with contextlib.suppress(OSError):  # closing says ENOTCONN as well
            os.close(held)
    server.assert_nothing_left()


@needs_resend
def test_worker_that_keeps_dying_ends_in_errors_not_in_a_spin(server):
    server.attach()
    keeper = server.keeper
    for _ in range(keeping.MAX_RESTARTS):
        server.kill_worker(1)
    server.io("read 0 4k")
    os.kill(server.workers()[1], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while not ended(keeper):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert error_of_reading(server.disk) in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO)
    assert "giving up" in server.log.read_text()
    server.detach()
    server.assert_nothing_left()


def test_power_loss_between_flush_and_detach_keeps_the_container_sound(image, tmp_path):
    """All processes of the disk server killed at once under load: the qcow2 is still consistent."""
    server = make_server(image, tmp_path)
    try:
        server.attach()
        writer = subprocess.Popen(
            ["qemu-io", "-f", "qcow2", "-t", "none",
             *(w for n in range(200) for w in ("-c", f"write -P {n} {n}M 1M")), server.disk],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0.2)
        victims = [server.keeper, *server.workers()]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        writer.wait(60)
        server.detach()
        server.attach()
        assert run("qemu-img", "check", server.disk, check=False).returncode in (0, 3)
    finally:
        server.detach()


def test_views_go_with_the_process_they_are_followed_for(server):
    server.attach()
    server.io("write -P 0x55 20M 1M", "flush")
    keeper = server.keeper
    stand_in = subprocess.Popen(["sleep", "600"])
    disk_server.follow(server.instance, stand_in.pid, run_dir=server.run_dir)
    time.sleep(0.3)
    assert error_of_reading(server.disk) is None
    stand_in.kill()
    stand_in.wait()
    deadline = time.monotonic() + 30
    while not ended(keeper):
        assert time.monotonic() < deadline, "the keeper stayed"
        time.sleep(0.05)
    assert disk_server.list_attached(run_dir=server.run_dir) == []
    assert server.disk.read_bytes()[:8] == b"E2ETCONT"
    server.detach()
    server.attach()
    server.io("read -P 0x55 20M 1M")
    server.detach()
    server.assert_nothing_left()


def test_worker_still_comes_back_while_a_process_is_followed(server):
    server.attach()
    stand_in = subprocess.Popen(["sleep", "600"])
    disk_server.follow(server.instance, stand_in.pid, run_dir=server.run_dir)
    server.kill_worker(1)
    server.io("write -P 0x56 1M 1M", "read -P 0x56 1M 1M")
    server.detach()
    stand_in.kill()
    stand_in.wait()
    server.assert_nothing_left()


def test_following_without_an_attached_disk_is_refused(server):
    with pytest.raises(DiskServerError) as caught:
        disk_server.follow(server.instance, os.getpid(), run_dir=server.run_dir)
    assert caught.value.code == "DISK_SERVER_GONE"
