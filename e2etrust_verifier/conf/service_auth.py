# SPDX-License-Identifier: Apache-2.0
"""Group [service_auth]: the account the verifier uses in other services (keystoneauth options)."""

from __future__ import annotations

from oslo_config import cfg

from e2etrust_verifier.conf import account

GROUP = cfg.OptGroup("service_auth", title="The verifier's own account")


def register(conf: cfg.ConfigOpts) -> None:
    account.register(conf, GROUP.name)
