# SPDX-License-Identifier: Apache-2.0
"""Two changes of one cloud at a time are refused."""

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
