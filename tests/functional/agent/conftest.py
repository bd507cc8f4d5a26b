# SPDX-License-Identifier: Apache-2.0
"""An agent and a verifier for all tests of a module: to start them takes longer than most tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.agent.stack import Stack
from tests.functional.rabbitmq_fixture import Broker
from tests.functional.swtpm_fixture import EmulatedTpm


@pytest.fixture(scope="module")
def stack(rabbitmq: Broker, chip: EmulatedTpm) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="agent") as directory:
        made = Stack(Path(directory), chip, rabbitmq)
        try:
            yield made
        finally:
            made.end()


@pytest.fixture
def leased(stack: Stack) -> Stack:
    """Both run, the host holds a lease, and nothing of the test before is left."""
    stack.mend()
    return stack
