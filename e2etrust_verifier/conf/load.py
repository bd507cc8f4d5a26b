# SPDX-License-Identifier: Apache-2.0
"""Read the configuration: one function for service, command line and WSGI application."""

from __future__ import annotations

import stat
from pathlib import Path

from castellan import options as castellan_options
from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log

from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.conf import crypto, placement, revocation, service_auth, verifier, webhook

DEFAULT_FILE = "/etc/e2etrust/verifier.conf"
#: Threads that answer calls, where [DEFAULT] executor_thread_pool_size says nothing else.  More do
#: not make one process faster.  Each keeps a connection to the database: beyond max_pool_size one
#: would be opened and closed for every transaction.
THREADS = 16
DEFAULT_DATABASE = "sqlite:////var/lib/e2etrust-verifier/verifier.sqlite"


class ConfigurationError(E2ETrustError):
    """The configuration cannot be used."""

    code = "CONFIGURATION_WRONG"
    remedy = "correct verifier.conf; the administrator's guide lists all settings"


def load(files: list[str] | None = None, conf: cfg.ConfigOpts | None = None) -> cfg.ConfigOpts:
    """Read *files* (default: /etc/e2etrust/verifier.conf, if it is there) into a configuration.

    :param conf: the object to fill; the process-wide one by default.
    :raises ConfigurationError: a file is missing, malformed, or readable by others.
    """
    # The global object by default: oslo.messaging registers its tracing options nowhere else.
    conf = cfg.CONF if conf is None else conf
    conf.reset()
    register(conf)
    if files is None:
        files = [DEFAULT_FILE] if Path(DEFAULT_FILE).exists() else []
    for name in files:
        refuse_if_others_read(Path(name))
    try:
        conf([], project="e2etrust", prog="e2etrust-verifier", default_config_files=files)
        _read_all(conf)
    except (cfg.Error, ValueError) as exc:
        raise ConfigurationError(
            f"the configuration cannot be read: {exc}",
        ) from None
    return conf


def register(conf: cfg.ConfigOpts) -> None:
    """Register every option that the verifier reads."""
    conf.register_opts(verifier.OPTIONS, verifier.GROUP)
    conf.register_opts(crypto.OPTIONS, crypto.GROUP)
    conf.register_opts(webhook.OPTIONS, webhook.GROUP)
    conf.register_opts(webhook.OUTBOX_OPTIONS, webhook.OUTBOX)
    service_auth.register(conf)
    placement.register(conf)
    revocation.register(conf)
    db_options.set_defaults(conf, connection=DEFAULT_DATABASE, max_pool_size=THREADS + 4)
    castellan_options.set_defaults(conf)
    log.register_options(conf)


def _read_all(conf: cfg.ConfigOpts) -> None:
    """Look at each of our values: oslo.config tells a wrong one when it is first looked at."""
    for group, options in (
        (verifier.GROUP, verifier.OPTIONS),
        (crypto.GROUP, crypto.OPTIONS),
        (placement.GROUP, placement.OPTIONS),
        (revocation.GROUP, revocation.OPTIONS),
        (webhook.GROUP, webhook.OPTIONS),
        (webhook.OUTBOX, webhook.OUTBOX_OPTIONS),
    ):
        for option in options:
            _ = conf[group.name][option.name]


def refuse_if_others_read(path: Path) -> None:
    """Raise ConfigurationError where anybody on the machine may read *path*.

    These files hold the passwords of broker, database and service account.
    """
    try:
        mode = path.stat().st_mode
    except OSError as exc:
        raise ConfigurationError(
            f"{path} cannot be read: {exc.strerror}", remedy="give its path with --config-file"
        ) from None
    if mode & stat.S_IROTH:
        raise ConfigurationError(
            f"{path} can be read by every user of this machine",
            code="CONFIGURATION_OPEN",
            remedy=f"chmod o-rwx {path}",
        )
