# SPDX-License-Identifier: Apache-2.0
"""Groups [webhook] and [outbox]: who is told what happens, and for how long it is tried.

Notifications over the message bus have oslo.messaging's own group, oslo_messaging_notifications.
"""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("webhook", title="Events told by HTTP")
OUTBOX = cfg.OptGroup("outbox", title="What waits to be told")

OPTIONS = [
    cfg.ListOpt(
        "urls",
        default=[],
        help="Where every event is posted to as JSON, signed as Standard Webhooks say (HMAC-SHA256"
        " over id, timestamp and body). https only, but for this machine itself. Empty: nowhere.",
    ),
    cfg.StrOpt(
        "secret_file",
        default="/etc/e2etrust/webhook-secret",
        help="File with the secret that signs: ``whsec_`` and 24 to 64 random bytes in base64."
        " Readable by the service's user only. More lines are more secrets, each of which signs:"
        " so a secret is changed while a receiver still knows the old one.",
    ),
    cfg.StrOpt(
        "ca_file",
        default="",
        help="PEM file of the authorities that servers' certificates must chain to. Empty: those"
        " of the system.",
    ),
    cfg.FloatOpt(
        "timeout", default=15.0, min=0.1, help="Seconds in which a server takes an event."
    ),
    cfg.IntOpt(
        "attempts",
        default=15,
        min=1,
        help="Tries before an event is given up for that URL, which is an event itself"
        " (delivery-failed). With the other defaults they last about a day.",
    ),
    cfg.FloatOpt(
        "first_pause",
        default=5.0,
        min=0.01,
        help="Seconds before the second try. Each pause is twice the one before, its later half at"
        " random.",
    ),
    cfg.FloatOpt("longest_pause", default=14400.0, min=0.01, help="Seconds between two tries."),
]
OUTBOX_OPTIONS = [
    cfg.FloatOpt(
        "interval", default=1.0, min=0.05, help="Seconds between two looks for what is to be told."
    ),
    cfg.IntOpt(
        "kept",
        default=10000,
        min=1,
        help="Events of each kind that wait for each destination. Beyond that the oldest are"
        " dropped, which is an event itself (outbox-dropped).",
    ),
    cfg.FloatOpt(
        "longest_wait",
        default=259200.0,
        min=1.0,
        help="Seconds after which what was not told is dropped, in the same way.",
    ),
]
