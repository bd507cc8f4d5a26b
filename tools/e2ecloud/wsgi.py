# SPDX-License-Identifier: Apache-2.0
"""Serve one WSGI application under cheroot: ``python -P wsgi.py MODULE ADDRESS PORT``.

Threads, kept-alive connections, and an empty sys.argv: the services' own option parsers would
otherwise take this program's arguments for theirs.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def application(module: str) -> Any:
    """The WSGI application of ``module``."""
    if module.startswith("neutron"):
        # Without service plugins Port.port_forwardings, a backref, is missing until the model is
        # imported and the mappers are configured.
        importlib.import_module("neutron.db.models.port_forwarding")
    loaded = importlib.import_module(module).application
    if module.startswith("neutron"):
        importlib.import_module("sqlalchemy.orm").configure_mappers()
    if module.startswith("barbican"):
        # Made by the first request otherwise, and not there yet for one that comes beside it: 500.
        importlib.import_module("barbican.common.policy").init()
    return loaded


def main() -> None:
    module, address, port = sys.argv[1:4]
    sys.argv = sys.argv[:1]
    from cheroot.wsgi import Server

    Server((address, int(port)), application(module), numthreads=8).start()


if __name__ == "__main__":
    main()
