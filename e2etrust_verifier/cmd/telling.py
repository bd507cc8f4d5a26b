# SPDX-License-Identifier: Apache-2.0
"""From configuration to those who are told what happens."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from oslo_config import cfg

from e2etrust_verifier.conf.load import ConfigurationError
from e2etrust_verifier.notify.bus import bus
from e2etrust_verifier.notify.destination import Destination, Patience
from e2etrust_verifier.notify.signature import read_secrets
from e2etrust_verifier.notify.webhook import Webhook

LOG = logging.getLogger(__name__)


def destinations(conf: cfg.ConfigOpts) -> list[Destination]:
    """Return all that the configuration names.

    :raises WebhookUrlError, WebhookSecretError, ConfigurationError: one cannot be used.
    """
    found: list[Destination] = []
    over_the_bus = bus(conf)
    if over_the_bus is not None:
        found.append(over_the_bus)
    found += _webhooks(conf)
    LOG.info("events are told to: %s", ", ".join(one.name for one in found) or "nobody")
    return found


def _webhooks(conf: cfg.ConfigOpts) -> list[Webhook]:
    chosen = conf.webhook
    if not chosen.urls:
        return []
    secrets = read_secrets(Path(chosen.secret_file))
    patience = Patience(chosen.attempts, chosen.first_pause, chosen.longest_pause)
    tls = _tls(chosen.ca_file)
    return [
        Webhook(url, secrets, tls, chosen.timeout, patience) for url in dict.fromkeys(chosen.urls)
    ]


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError:
        raise ConfigurationError(
            f"[webhook] ca_file {ca_file} holds no certificates", remedy="give a PEM file"
        ) from None
