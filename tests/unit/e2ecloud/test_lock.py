# SPDX-License-Identifier: Apache-2.0
"""Two changes of one cloud at a time are refused."""

import os
import signal
import subprocess
import sys

import pytest

from e2ecloud import lock
from e2ecloud.errors import Busy
from e2ecloud.layout import Cloud


def test_a_second_change_at_the_same_time_is_refused(tmp_path):
    cloud = Cloud(tmp_path)
    with lock.exclusive(cloud), pytest.raises(Busy), lock.exclusive(cloud):
        pass


def test_the_lock_is_free_again_afterwards(tmp_path):
    cloud = Cloud(tmp_path)
    for _ in range(2):
        with lock.exclusive(cloud):
            pass


def test_a_change_that_goes_on_without_its_caller_can_be_ended(tmp_path):
    holder = (
        "import signal, sys, time, pathlib; from e2ecloud import lock, layout\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "with lock.exclusive(layout.Cloud(pathlib.Path(sys.argv[1]))):\n"
        "    print('held', flush=True); time.sleep(1000)\n"
    )
    argv = [sys.executable, "-c", holder, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"held\n"
        lock.end_holder(Cloud(tmp_path), patience=0.2)
        assert process.wait(20) == -signal.SIGKILL
    with lock.exclusive(Cloud(tmp_path)):
        pass
