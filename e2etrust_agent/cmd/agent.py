# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-agent``: SIGHUP attests at once, SIGTERM ends."""

from __future__ import annotations

import signal
import stat
import sys
from pathlib import Path
from types import FrameType

import oslo_messaging
from oslo_config import cfg
from oslo_log import log

from e2etrust_agent.conf import opts
from e2etrust_agent.errors import AgentError
from e2etrust_agent.identity import (
    IdentityShown,
    forget_identity,
    load_or_create,
    show_identity,
)
from e2etrust_agent.service import AgentService
from e2etrust_core import wire
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.no_dumps import leave_no_core
from e2etrust_core.tpm.device import open_tpm

CONFIG_FILE = "/etc/e2etrust/agent.conf"


def main(argv: list[str] | None = None) -> int:
    """Run the agent until a signal ends it; return its exit status."""
    leave_no_core()
    conf = cfg.CONF  # oslo.messaging looks for some of its options nowhere else
    log.register_options(conf)
    opts.register(conf)
    conf.register_cli_opt(
        cfg.BoolOpt(
            "new-identity",
            default=False,
            help="Set the host's attestation key aside and make a new one, after the TPM was "
            "replaced or cleared on purpose.",
        )
    )
    conf.register_cli_opt(
        cfg.BoolOpt(
            "show-identity",
            default=False,
            help="Tell which keys this host enrols with, as JSON, and end.",
        )
    )
    try:
        conf(
            sys.argv[1:] if argv is None else argv,
            project="e2etrust",
            prog="e2etrust-agent",
            default_config_files=[CONFIG_FILE],
        )
    except cfg.Error as exc:
        print(f"CONFIG_UNREADABLE: {exc}", file=sys.stderr)
        return 2
    log.setup(conf, "e2etrust")
    try:
        _run(conf)
    except E2ETrustError as exc:
        print(f"{exc}\n{exc.remedy}".strip(), file=sys.stderr)
        return 1
    return 0


def _run(conf: cfg.ConfigOpts) -> None:
    for name in conf.config_file or []:
        _refuse_if_others_read(Path(name))
    settings = opts.settings(conf)
    if conf.new_identity:
        forget_identity(settings.state_dir)
    if conf.show_identity:
        print(wire.to_json(_identity(settings)).decode())
        return
    service = AgentService(settings, _transport(conf))

    def on_stop(_number: int, _frame: FrameType | None) -> None:
        service.stop()

    def on_hangup(_number: int, _frame: FrameType | None) -> None:
        service.attest_now()

    signal.signal(signal.SIGTERM, on_stop)
    signal.signal(signal.SIGINT, on_stop)
    signal.signal(signal.SIGHUP, on_hangup)
    service.run()


def _transport(conf: cfg.ConfigOpts) -> oslo_messaging.RPCTransport:
    try:
        return oslo_messaging.get_rpc_transport(conf)
    except (
        oslo_messaging.DriverLoadFailure,
        oslo_messaging.InvalidTransportURL,
        ValueError,
    ) as exc:
        # Its words may hold the password.
        raise AgentError(
            f"[DEFAULT] transport_url cannot be used: {type(exc).__name__}",
            code="CONFIGURATION_WRONG",
            remedy="Write it as rabbit://ACCOUNT:PASSWORD@HOST:5672/VIRTUAL_HOST.",
        ) from None


def _identity(settings: opts.Settings) -> IdentityShown:
    with open_tpm(settings.tcti) as tpm:
        chosen = settings.suite, settings.state_dir, settings.ek
        found = load_or_create(tpm, settings.host, *chosen)
    return show_identity(found)


def _refuse_if_others_read(path: Path) -> None:
    """The file holds the broker's password (CVE-2022-23952)."""
    if path.is_file() and path.stat().st_mode & stat.S_IROTH:
        raise AgentError(
            f"{path} can be read by every user of this host",
            code="CONFIGURATION_OPEN",
            remedy=f"chmod o-rwx {path}",
        )


if __name__ == "__main__":
    sys.exit(main())
