# SPDX-License-Identifier: Apache-2.0
"""The cloud's package is not installed: it lies in tools/."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    from e2ecloud.layout import Cloud

    monkeypatch.setenv("E2ETRUST_CLOUD", str(tmp_path / "cloud"))
    return Cloud.of_checkout()


@pytest.fixture
def space(cloud):
    """A namespace with a /run of its own, gone after the test."""
    from e2ecloud import namespace as ns
    from e2ecloud import process

    init = "mount -t tmpfs run /run && touch /run/ready && while :; do sleep 3600; done"
    made = ns.create(
        ["/bin/bash", "-c", init],
        cloud.run / "namespace",
        cloud.log / "namespace.log",
        environment=process.clean_environment({}),
    )

    def ready():
        return (Path(f"/proc/{made.init_pid}/root/run/ready")).exists()

    process.wait_until(ready, "the namespace", timeout=20, log=cloud.log / "namespace.log")
    yield made
    ns.kill(made)
