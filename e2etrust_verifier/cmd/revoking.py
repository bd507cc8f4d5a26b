# SPDX-License-Identifier: Apache-2.0
"""From configuration to the operator's rule, and who carries it out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from oslo_config import cfg

from e2etrust_verifier.conf.load import ConfigurationError
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.revocation.nova import Nova
from e2etrust_verifier.revocation.reconciler import Reconciler
from e2etrust_verifier.revocation.rule import Rule
from e2etrust_verifier.service_clients import adapter_of


def reconciler(
    conf: cfg.ConfigOpts, database: Database, now: Callable[[], datetime]
) -> Reconciler | None:
    """Return who carries the rule out, None where the rule is to do nothing.

    :raises ConfigurationError: the rule asks for something, and [nova] names no account.
    """
    rule = rule_of(conf)
    if rule.action == "none":
        return None
    http = adapter_of(conf, "nova")
    if http is None:
        raise ConfigurationError(
            f"[revocation] action is {rule.action}, and [nova] names no account",
            remedy="write auth_type, auth_url and the rest into [nova]",
        )
    return Reconciler(database, Nova(http), rule, now)


def rule_of(conf: cfg.ConfigOpts) -> Rule:
    chosen = conf.revocation
    return Rule(
        action=chosen.action,
        hosts=tuple(chosen.hosts),
        after_failures=chosen.after_failures,
        after_seconds=chosen.after_seconds,
        expired=chosen.expired,
        max_hosts_per_hour=chosen.max_hosts_per_hour,
        max_fraction=chosen.max_fraction,
        force_down=chosen.force_down,
        reenable=chosen.reenable,
    )
