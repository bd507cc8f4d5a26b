# SPDX-License-Identifier: Apache-2.0
"""Groups [revocation] and [nova]: what Nova is asked to do about hosts that are not trusted."""

from __future__ import annotations

from oslo_config import cfg, types

from e2etrust_core.appraisal.patterns import HOST_PATTERN
from e2etrust_verifier.conf import account

GROUP = cfg.OptGroup("revocation", title="What is done about hosts that are not trusted")
NOVA = cfg.OptGroup("nova", title="Nova, for [revocation]")

OPTIONS = [
    cfg.StrOpt(
        "action",
        default="none",
        choices=[
            ("none", "nothing: the host's lease ends, schedulers and hook keep servers away"),
            ("disable", "its compute service is disabled in Nova"),
            ("evacuate", "the same, and its servers are evacuated once it is down"),
        ],
        help="What Nova is asked to do about a host that is not trusted. Needs an account in"
        " [nova] that may list and change compute services, and evacuate servers.",
    ),
    cfg.ListOpt(
        "hosts",
        item_type=types.String(regex=HOST_PATTERN),
        default=["*"],
        help="Names of hosts that it is for, or patterns: * stands for any characters and ? for any"
        " one; sets in brackets are refused.",
    ),
    cfg.IntOpt(
        "after_failures",
        default=1,
        min=1,
        max=50,
        help="Failed appraisals in a row before it is done; an operator's revocation needs none.",
    ),
    cfg.FloatOpt(
        "after_seconds",
        default=0.0,
        min=0.0,
        help="Seconds that the host is not trusted before it is done.",
    ),
    cfg.BoolOpt(
        "expired",
        default=False,
        help="Also for hosts whose lease ran out because no evidence came. A message bus that is"
        " down silences all hosts at once: think of the limits below.",
    ),
    cfg.IntOpt(
        "max_hosts_per_hour",
        default=5,
        min=1,
        help="Where more hosts than this would be acted on within an hour, nothing is done to any"
        " new one, and the event revocation-braked says so: a broken policy must not take the"
        " cloud down.",
    ),
    cfg.FloatOpt(
        "max_fraction",
        default=0.1,
        min=0.0,
        max=1.0,
        help="The same where more than this part of all enrolled hosts (one at least) would be out"
        " of use by us.",
    ),
    cfg.BoolOpt(
        "force_down",
        default=False,
        help="With action = evacuate: tell Nova that a host which still reports is down, and"
        " evacuate at once. Two copies of a server run and write to shared storage unless"
        " something else has ended the first: leave it off without fencing. Off: evacuation waits"
        " until Nova itself sees the host down.",
    ),
    cfg.BoolOpt(
        "reenable",
        default=False,
        help="Enable the service again when the host is trusted again, where it was disabled by us"
        " and nobody has changed the reason since.",
    ),
    cfg.FloatOpt("interval", default=15.0, min=0.1, help="Seconds between two comparisons."),
]


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTIONS, GROUP)
    account.register_service(conf, NOVA.name, "compute")
    # Without one a Nova that hangs would hang the comparison.  Nova itself waits a minute for a
    # nova-compute that is dead and not yet seen to be.
    conf.set_default("timeout", 90, NOVA.name)
