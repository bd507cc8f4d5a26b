# SPDX-License-Identifier: Apache-2.0
"""The ``openstack`` command in this process, as a user with a token runs it."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from openstackclient import shell
from osc_lib import clientmanager


@dataclass(frozen=True, slots=True)
class Told:
    """What the command said, and its exit status."""

    status: int
    output: str
    errors: str


def openstack(url: str, *words: str, token: str = "administrator") -> Told:  # noqa: S107
    """Run ``openstack WORDS`` with all services at *url*, and no keystone."""
    out, err = io.StringIO(), io.StringIO()
    where = ("--os-auth-type", "admin_token", "--os-endpoint", url, "--os-token", token)
    with _by_itself(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = shell.main([*where, *words])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Told(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _by_itself() -> Iterator[None]:
    """Leave nothing of one run to the next: clients, and handlers of logs."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers = []
    for kind in clientmanager.ClientManager.__subclasses__() + [clientmanager.ClientManager]:
        for made in vars(kind).values():
            if isinstance(made, clientmanager.ClientCache):
                made._handle = None
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
