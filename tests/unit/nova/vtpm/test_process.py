# SPDX-License-Identifier: Apache-2.0
"""Whose swtpm a server's measurement goes to, on a /proc of the test's own."""

from __future__ import annotations

import os

import pytest

from e2etrust_nova.errors import VtpmError
from e2etrust_nova.vtpm.process import find_vtpm

INSTANCE = "6f3c9a52-0b7e-4c55-9a3d-1f0e5d7b8c21"


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a program; the server's state belongs to this test's user."""
    (tmp_path / "swtpm" / INSTANCE / "tpm2").mkdir(parents=True)

    def start(pid: int, state: str = "", uids: tuple[int, ...] = (), **changes: str) -> None:
        process = tmp_path / "proc" / str(pid)
        process.mkdir(parents=True)
        state = state or f"{tmp_path}/swtpm/{INSTANCE}/tpm2"
        words = ["swtpm", "socket", "--tpmstate", f"dir={state},mode=0600"]
        words += ["--ctrl", f"type=unixio,path=/run/{pid}.sock,mode=0600"]
        (process / "cmdline").write_text("\0".join(words) + "\0")
        (process / "exe").symlink_to(changes.get("exe", "/usr/bin/swtpm"))
        told = "\t".join(map(str, uids or (os.getuid(),) * 4))
        (process / "status").write_text(f"Name:\tswtpm\nUid:\t{told}\nGid:\t0\t0\t0\t0\n")

    return start


def find(tmp_path):
    return find_vtpm(INSTANCE, tmp_path / "swtpm", tmp_path / "proc")


def test_swtpm_on_the_servers_state_is_found(tmp_path, run):
    run(7)
    run(8, state=f"{tmp_path}/swtpm/00000000-0000-4000-8000-000000000000/tpm2")
    assert (find(tmp_path).pid, str(find(tmp_path).control_socket)) == (7, "/run/7.sock")


@pytest.mark.parametrize(
    ("state", "uids"),
    [
        ("", (4711,) * 4),
        ("", (4711, 0, 0, 0)),
        (f"/tmp/{INSTANCE}/tpm2", ()),  # noqa: S108 - nothing is made there
        (f"{INSTANCE}/tpm2", ()),
    ],
)
def test_program_of_another_account_neither_takes_nor_hinders_the_measurement(
    tmp_path, run, state, uids
):
    """Whoever has an account on the host reads the server's UUID off QEMU's arguments."""
    run(9, state, uids)
    with pytest.raises(VtpmError):
        find(tmp_path)
    run(7)
    assert find(tmp_path).pid == 7


def test_two_of_libvirts_own_are_one_too_many(tmp_path, run):
    run(7)
    run(9, uids=(0,) * 4)
    with pytest.raises(VtpmError, match="2 swtpm"):
        find(tmp_path)
