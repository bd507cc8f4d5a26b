# SPDX-License-Identifier: Apache-2.0
"""The message bus that [DEFAULT] transport_url names."""

from __future__ import annotations

import oslo_messaging
from oslo_config import cfg

from e2etrust_verifier.conf.load import ConfigurationError


def rpc_transport(conf: cfg.ConfigOpts) -> oslo_messaging.RPCTransport:
    """Return the transport; nothing is connected yet.

    :raises ConfigurationError: transport_url is none, or of a driver that is not installed.
    """
    try:
        return oslo_messaging.get_rpc_transport(conf)
    except (
        oslo_messaging.DriverLoadFailure,
        oslo_messaging.InvalidTransportURL,
        ValueError,
    ) as exc:
        # Its words may hold the password.
        raise ConfigurationError(
            f"[DEFAULT] transport_url cannot be used: {type(exc).__name__}",
            remedy="write it as rabbit://ACCOUNT:PASSWORD@HOST:5672/VIRTUAL_HOST",
        ) from None
