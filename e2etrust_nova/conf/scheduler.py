# SPDX-License-Identifier: Apache-2.0
"""The scheduler filter's options, group ``[e2etrust]`` of nova.conf."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup(
    "e2etrust",
    title="E2ETrust",
    help="How nova-scheduler learns which compute hosts hold a lease of trust.",
)

OPTS = [
    cfg.StrOpt(
        "transport_url",
        default="",
        secret=True,
        help="Message bus on which the verifier listens. Empty: Nova's own bus.",
    ),
    cfg.StrOpt(
        "verifier_keys",
        default="",
        help="File with the verifier's public keys (a JWK set, what 'e2etrust-manage key jwks'"
        " writes). Answers that none of them signed are no news of any host. While a key takes"
        " the place of another the file has both; it is read at each question. Empty: whoever may"
        " write to the message bus can tell the scheduler which hosts are trusted.",
    ),
    cfg.FloatOpt(
        "rpc_timeout",
        default=3.0,
        min=0.1,
        max=60,
        help="Seconds that one scheduling request waits for the verifier at the most. When it "
        "does not answer, leases that are known and have not run out still count.",
    ),
    cfg.FloatOpt(
        "retry_interval",
        default=5.0,
        min=0,
        help="Seconds without another question after the verifier did not answer, so that "
        "scheduling does not wait for it again and again.",
    ),
    cfg.FloatOpt(
        "refresh_interval",
        default=0.0,
        min=0,
        help="Seconds for which an answer is good enough for further requests. 0 asks once per "
        "scheduling request, so that a lease that was ended is noticed at once.",
    ),
    cfg.FloatOpt(
        "freshness_weight_multiplier",
        default=1.0,
        help="How much FreshnessWeigher counts among Nova's weighers, where it is enabled: it "
        "prefers hosts whose lease lasts longest. 0 switches it off, a negative number turns it "
        "round. The metadata e2etrust_freshness_weight_multiplier of an aggregate goes before.",
    ),
    cfg.IntOpt(
        "logged_refusals",
        default=10,
        min=0,
        help="How many of the hosts that a scheduling request refused for the same code are named "
        "in its line of the log; the rest are counted.",
    ),
]


def register(conf: cfg.ConfigOpts) -> cfg.ConfigOpts.GroupAttr:
    """Register the options with *conf* (again does no harm) and return the group."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)
    return conf[GROUP.name]
