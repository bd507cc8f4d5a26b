# SPDX-License-Identifier: Apache-2.0
"""E2ETrust's release for compute hosts: taken once from the checkout when the cloud is made.

Hosts run copies of it, and the verifier's policy is computed from it, so a checkout that is
edited under a running cloud changes neither.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from e2ecloud.layout import Cloud

PACKAGES = ("e2etrust_core", "e2etrust_agent", "e2etrust_nova")


def release(cloud: Cloud) -> Path:
    """The directory of the release; made from the checkout when it is not there."""
    path = cloud.state / "release"
    if not path.is_dir():
        unfinished = path.with_name("release.unfinished")
        for package in PACKAGES:
            shutil.copytree(
                cloud.checkout / package,
                unfinished / package,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        unfinished.rename(path)
    return path


def install(cloud: Cloud, target: Path) -> None:
    """Copy the release to ``target`` on a host's disk."""
    shutil.copytree(release(cloud), target, dirs_exist_ok=True)
