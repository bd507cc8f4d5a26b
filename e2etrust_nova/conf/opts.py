# SPDX-License-Identifier: Apache-2.0
"""All options of nova.conf that are ours, for oslo-config-generator."""

from __future__ import annotations

from oslo_config import cfg

from e2etrust_nova.conf import scheduler


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Return the groups and their options (entry point ``oslo.config.opts``)."""
    return [(scheduler.GROUP, scheduler.OPTS)]
