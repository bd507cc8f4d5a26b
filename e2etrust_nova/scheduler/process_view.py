# SPDX-License-Identifier: Apache-2.0
"""The view of whichever process asks.

Schedulers fork their workers after filters and weighers are made; a view, with its lock and
connection, is never shared between processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from oslo_config import cfg

from e2etrust_nova.scheduler.view import LeaseView, Source


class ProcessViews:
    """:param source: makes the question to the verifier, once in each process."""

    def __init__(self, options: cfg.ConfigOpts.GroupAttr, source: Callable[[], Source]) -> None:
        self._options = options
        self._source = source
        self.views: dict[int, LeaseView] = {}

    def current(self) -> LeaseView:
        pid = os.getpid()
        view = self.views.get(pid)
        if view is None:
            made = LeaseView(
                self._source(),
                retry_interval=self._options.retry_interval,
                refresh_interval=self._options.refresh_interval,
            )
            # setdefault: of two threads that come here first, both use one view.
            view = self.views.setdefault(pid, made)
        return view
