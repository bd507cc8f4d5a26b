# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ: one node with one account."""

from __future__ import annotations

from e2ecloud.config.shared import Site
from e2ecloud.credentials import write_private
from e2ecloud.layout import BROKER_PORT, CONTROLLER_IP
from e2ecloud.process import Program


def program(site: Site) -> Program:
    """The broker's program; writes its configuration first."""
    state = site.cloud.state / "rabbitmq"
    config = state / "rabbitmq.conf"
    write_private(
        config,
        f"listeners.tcp.default = {CONTROLLER_IP}:{BROKER_PORT}\n"
        "default_user = cloud\n"
        f"default_pass = {site.credentials.broker}\n"
        "loopback_users = none\n"
        # The machine's disk is no business of a test cloud's broker.
        "disk_free_limit.absolute = 50MB\n",
    )
    return Program(
        "rabbitmq",
        ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
        site.cloud.log / "rabbitmq.log",
        {
            "HOME": str(state),
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_MNESIA_BASE": str(state / "mnesia"),
            "RABBITMQ_LOG_BASE": str(site.cloud.log / "rabbitmq"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(state / "plugins"),
            "RABBITMQ_PID_FILE": str(state / "pid"),
            # Busy waiting of idle schedulers would eat a quarter of a two-core machine.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        },
    )
