# SPDX-License-Identifier: Apache-2.0
"""Range lock, mount table, the hook's pipe, paths, and the price of the import."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from e2etrust_nova import disk
from e2etrust_nova.disk import mounts, order
from e2etrust_nova.disk.model import Places
from e2etrust_nova.disk.range_lock import RangeLock
from e2etrust_nova.errors import DiskServerError

INSTANCE = "11111111-2222-3333-4444-555555555555"


def blocked(lock, first, end, *, shared=False):
    """Whether another thread has to wait for a span."""
    entered = threading.Event()

    def enter():
        with lock.hold(first, end, shared=shared):
            entered.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    return thread, entered


@pytest.mark.parametrize(
    ("held", "held_shared", "wanted", "wanted_shared", "waits"),
    [
        ((0, 2), False, (1, 3), False, True),
        ((0, 2), False, (2, 3), False, False),
        ((0, 2), False, (1, 3), True, True),
        ((0, 2), True, (1, 3), True, False),
        ((0, 2), True, (0, 1), False, True),
    ],
)
def test_spans_wait_only_where_they_conflict(held, held_shared, wanted, wanted_shared, waits):
    lock = RangeLock()
    with lock.hold(*held, shared=held_shared):
        thread, entered = blocked(lock, *wanted, shared=wanted_shared)
        assert entered.wait(0.1 if waits else 10) is not waits
    thread.join(10)
    assert entered.is_set()


def test_our_mounts_are_found_with_odd_paths():
    line = (
        f"61 29 0:53 / /srv/a\\040b/{INSTANCE}/disk rw,nosuid shared:5 - "
        f"fuse.e2etrust e2etrust:{INSTANCE} rw,user_id=0\n"
    )
    assert mounts.parse(line) == mounts.View(INSTANCE, Path(f"/srv/a b/{INSTANCE}/disk"))


@pytest.mark.parametrize("kind", ["fuse.sshfs e2etrust:x", "ext4 /dev/vda", "fuse.e2etrust other"])
def test_other_mounts_are_not_ours(kind):
    assert mounts.parse(f"61 29 0:53 / /mnt rw - {kind} rw\n") is None


@pytest.mark.parametrize("told", ["rw,user_id=1000,group_id=1000", "rw,user_id=1000,user_id=0", ""])
def test_mount_of_another_account_that_looks_like_ours_is_not_ours(told):
    """Below a directory that root may not enter, it could not be unmounted: no server started."""
    line = f"61 29 0:53 / /home/u/a/b rw - fuse.e2etrust e2etrust:{INSTANCE} {told}"
    assert mounts.parse(line.rstrip() + "\n") is None


# The kernel writes the spaces of names that users chose as \\040.
@pytest.mark.parametrize(
    "line",
    [
        "61 29 0:53 / /mnt rw - fuse -\\040fuse.e2etrust\\040e2etrust:{} rw",
        "61 29 0:53 / /mnt\\040-\\040fuse.e2etrust\\040e2etrust:{} rw - fuse sshfs rw",
        "61 29 0:53 / /mnt rw - fuse.sshfs fuse.e2etrust\\040e2etrust:{} rw",
    ],
)
def test_cve_2022_23948_mount_whose_names_tell_of_ours_is_not_ours(line):
    assert mounts.parse(line.format(INSTANCE) + "\n") is None


def test_order_travels_whole_and_without_the_key():
    request = disk.AttachRequest(INSTANCE, Path("/i/disk"), Path("/i/_base/x"), b"h" * 32, None)
    work = order.Order(request, Path("/run/x"))
    assert order.decode(work.encode()) == work


def test_refusal_travels_with_code_and_remedy():
    error = DiskServerError("why", code="KEY_WRONG", remedy="do this")
    with pytest.raises(DiskServerError) as told:
        order.check_answer(order.encode_answer(error))
    assert (told.value.code, told.value.reason, told.value.remedy) == (
        "KEY_WRONG",
        "why",
        "do this",
    )
    order.check_answer(order.encode_answer(None))


@pytest.mark.parametrize("line", [b"", b"{", b"Traceback"])
def test_no_answer_is_a_failure(line):
    with pytest.raises(DiskServerError):
        order.check_answer(line)


@pytest.mark.parametrize("name", ["", "../x", "11111111", INSTANCE + "/..", INSTANCE.upper() + "A"])
def test_instance_that_is_no_uuid_never_becomes_a_path(name):
    with pytest.raises(DiskServerError):
        Places(Path("/run/x"), name)


def test_import_for_the_hook_brings_nothing_heavy():
    code = (
        "import sys, e2etrust_nova.disk, e2etrust_nova.disk.finder, e2etrust_nova.disk.control;"
        "print([m for m in ('numpy', 'cryptography', 'nova', 'oslo_config') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
