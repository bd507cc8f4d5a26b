# SPDX-License-Identifier: Apache-2.0
"""Group [placement]: where trust is shown as a trait.  Left out, Placement is not used."""

from __future__ import annotations

from oslo_config import cfg

from e2etrust_verifier.conf import account

GROUP = cfg.OptGroup("placement", title="Placement traits")

#: Two writers at once may be a 500 of Placement's.  Every request of ours may be repeated: writes
#: name the generation that they are for.  It takes 3.5 seconds at most.
REPEATED = {"status_code_retries": 3, "retriable_status_codes": [500, 502, 503, 504]}

OPTIONS = [
    cfg.FloatOpt(
        "sync_interval",
        default=15.0,
        min=0.1,
        help="Seconds between two comparisons of all traits with all leases. A change of trust"
        " is also written at once; this heals what was missed.",
    ),
    cfg.BoolOpt(
        "level_traits",
        default=False,
        help="Whether hosts carry CUSTOM_E2ETRUST_LEVEL_N as well, for the level of their lease"
        " and each below it. Images can demand a level by that trait only.",
    ),
    cfg.DictOpt(
        "provider_names",
        default={},
        help="Host name to resource provider name, for hosts where the two differ.",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTIONS, GROUP)
    account.register_service(conf, GROUP.name, "placement")
    for name, value in REPEATED.items():
        conf.set_default(name, value, GROUP.name)
