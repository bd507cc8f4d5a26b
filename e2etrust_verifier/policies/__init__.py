# SPDX-License-Identifier: Apache-2.0
"""Who may ask what of the REST API (oslo.policy), one module a noun."""

from __future__ import annotations

import sys

from oslo_config import cfg
from oslo_policy import policy

from e2etrust_verifier.policies import (
    base,
    enrolments,
    events,
    fleet,
    host_policies,
    hosts,
    inventory,
    servers,
)


def list_rules() -> list[policy.RuleDefault]:
    """Return every rule, for the enforcer and for oslopolicy-sample-generator."""
    nouns = (fleet, hosts, enrolments, host_policies, inventory, servers, events)
    return [*base.RULES, *(rule for noun in nouns for rule in noun.RULES)]


def make_enforcer(conf: cfg.ConfigOpts) -> policy.Enforcer:
    """Return an enforcer of our rules with the operator's changes from the policy file."""
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(list_rules())
    return enforcer


def enforcer() -> policy.Enforcer:
    """Return an enforcer for the command line tools of oslo.policy."""
    conf = cfg.CONF
    conf(sys.argv[1:], project="e2etrust", prog="e2etrust-verifier")
    return make_enforcer(conf)
