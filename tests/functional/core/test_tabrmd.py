# SPDX-License-Identifier: Apache-2.0
"""The TPM behind tpm2-abrmd, on a message bus of its own.

GLib ends a process whose bus goes away, so whoever uses the daemon here is a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from e2etrust_core.tpm.device import open_tpm
from tests.functional.core.test_tpm import in_use

#: Two that use the TPM at once: each has its own view of it, and leaves nothing behind.
PROGRAM = """
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.quote import verify_quote
from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_core.suites import ECC_P256_SHA256
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import open_tpm
from e2etrust_core.tpm.keys import create_ak, read_ek
from e2etrust_core.tpm.quote import take_quote
from e2etrust_core.tpm.salt_key import KnownHost

with open_tpm("tabrmd:bus_type=session") as one, open_tpm("tabrmd:bus_type=session") as other:
    ek = read_ek(one)
    assert ek.certificate
    ak = create_ak(one, ECC_P256_SHA256, ek.kind)
    with other.connected():
        credential = make_credential(ek.public, name_of(ak.public), b"secret" * 5)
        assert activate_credential(one, KnownHost(ak, ek.public), *credential) == b"secret" * 5
        for tpm in (one, other):
            quote = take_quote(tpm, ak, b"nonce", {"sha256": [0, 7]})
            verify_quote(quote, ak.public, b"nonce", {"sha256": [0, 7]}, ek.public)
print("all was as it should be")
"""
ABSENT = """
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.errors import TpmUnreachable

try:
    with Tpm("tabrmd:bus_type=session", patience=0.1).connected():
        pass
except TpmUnreachable as exc:
    print(exc.code)
"""


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of who uses this bus."""
    with ExitStack() as stack:
        process = started(
            stack,
            ["dbus-daemon", "--session", "--nofork", "--print-address=1"]
            + [f"--address=unix:dir={tmp_path}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        address = process.stdout.readline().strip()
        assert address, "dbus-daemon did not start"
        yield {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address}


def started(stack: ExitStack, command: list[str], **more) -> subprocess.Popen:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **more)
    stack.callback(process.wait, 10)
    stack.callback(process.kill)
    return process


def run(program: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_tpm_behind_the_resource_manager_serves_several_and_keeps_nothing(swtpm, bus):
    command = ["tpm2-abrmd", "--session", "--allow-root", f"--tcti={swtpm}"]
    with ExitStack() as stack:
        daemon = started(stack, command, env=bus)
        assert run(PROGRAM, bus) == "all was as it should be"
        daemon.terminate()
        assert daemon.wait(10) == 0
    with open_tpm(swtpm) as tpm:
        assert in_use(tpm) == []


def test_daemon_that_is_not_there_is_a_tpm_that_does_not_answer(bus):
    assert run(ABSENT, bus) == "TPM_UNREACHABLE"
