# SPDX-License-Identifier: Apache-2.0
"""Namespaces and processes of the cloud, on the real kernel."""

import os
import signal
from pathlib import Path

import pytest

from e2ecloud import lifecycle, process
from e2ecloud import namespace as ns
from e2ecloud.errors import CloudError, NotRunning


def sleeper(cloud, name="sleeper"):
    return process.Program(name, ["sleep", "1000"], cloud.log / "sleeper.log")


def test_killing_pid_1_takes_every_process_and_mount_away(cloud, space):
    process.start(space, sleeper(cloud), cloud.run / "sleeper")
    outside = set(ns.members(space).values())
    assert len(outside) >= 2
    ns.kill(space)
    assert not ns.members(space)
    assert not any(Path(f"/proc/{pid}").exists() for pid in outside)
    assert "/run/ready" not in Path("/proc/mounts").read_text()
    assert not Path("/run/ready").exists()


def test_a_nested_namespace_goes_with_the_outer_one(cloud, space):
    init = ["/bin/bash", "-c", "while :; do sleep 3600; done"]
    inner = ns.create(
        init,
        cloud.run / "inner",
        cloud.log / "inner.log",
        outer=space,
        environment=process.clean_environment({}),
    )
    assert inner.alive()
    ns.kill(space)
    assert not ns.members(inner)


def test_a_record_outlives_its_process_without_lying(cloud, space):
    record = cloud.run / "sleeper"
    process.start(space, sleeper(cloud), record)
    assert process.pid_of(space, record) is not None
    assert process.stop(space, record, signal.SIGTERM)
    assert process.pid_of(space, record) is None
    assert not process.stop(space, record, signal.SIGTERM)


def test_starting_twice_starts_once(cloud, space):
    record = cloud.run / "sleeper"
    assert process.start(space, sleeper(cloud), record) == process.start(
        space, sleeper(cloud), record
    )


def test_a_process_that_ignores_sigterm_is_killed(cloud, space):
    stubborn = process.Program(
        "stubborn", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], cloud.log / "x.log"
    )
    record = cloud.run / "stubborn"
    process.start(space, stubborn, record)
    assert process.stop(space, record, signal.SIGTERM, grace=0.5)
    assert process.pid_of(space, record) is None


def test_nothing_can_be_run_in_a_namespace_that_is_gone(space):
    ns.kill(space)
    with pytest.raises(NotRunning):
        process.run(space, ["true"])


def test_a_failed_program_tells_its_log(cloud, space):
    log = cloud.log / "failing.log"
    with pytest.raises(CloudError) as caught:
        process.run(space, ["sh", "-c", "echo the disk is full >&2; exit 3"], log=log)
    assert "the disk is full" in caught.value.explain()


def test_down_ends_what_a_killed_start_left_without_a_record(cloud, space):
    (cloud.run / "namespace").unlink()
    assert space.init_pid != os.getpid()
    lifecycle.down(cloud)
    assert not space.alive()
    assert not ns.members(space)
