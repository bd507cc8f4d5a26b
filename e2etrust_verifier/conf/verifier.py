# SPDX-License-Identifier: Apache-2.0
"""Group [verifier]: what the service decides by."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("verifier", title="Attestation, launches and their records")

OPTIONS = [
    cfg.StrOpt(
        "policy_dir",
        # Not policy.d: oslo.policy takes every file there for access rules.
        default="/etc/e2etrust/host-policy.d",
        help="Directory of host policies, one YAML file a policy. A host's policy is the first,"
        " in the order of file names, whose 'hosts' patterns match its name. A host without a"
        " policy is not trusted.",
    ),
    cfg.StrOpt(
        "signing_key",
        default="/etc/e2etrust/signing-key.pem",
        help="PEM file with the P-256 private key that signs launch records (ES256). Made by"
        " 'e2etrust-manage key create'; readable by the service's user only.",
    ),
    cfg.StrOpt(
        "sm2_signing_key",
        default="",
        help="PEM file with the SM2 private key that signs the attestation results of hosts whose"
        " suite is a Chinese one. Made by 'e2etrust-manage key create --sm2'. Empty: signing_key"
        " signs all results.",
    ),
    cfg.ListOpt(
        "retired_keys",
        default=[],
        help="PEM files of public keys that signed earlier records. They are published beside"
        " the current one, so that tenants can still check those records.",
    ),
    cfg.StrOpt(
        "issuer", default="e2etrust-verifier", help="Who signed a launch record (claim iss)."
    ),
    cfg.StrOpt(
        "ek_ca_bundle",
        default="",
        help="PEM file of the TPM makers' certificate authorities. A host's EK certificate must"
        " chain to one of them.",
    ),
    cfg.StrOpt(
        "ek_pins",
        default="",
        help="YAML file of the operator's inventory: host name to the SHA-256 (hex) of its EK's"
        " TPMT_PUBLIC, or a list of them. A host named there must have that EK and needs no"
        " certificate.",
    ),
    cfg.StrOpt(
        "new_hosts",
        default="automatic",
        choices=[
            ("automatic", "a host whose EK is accepted may be trusted at once"),
            ("operator", "a new host is held until 'e2etrust-manage host approve'"),
            ("expected", "a host enrols only with a TPM that an operator named for it before"),
        ],
        help="What happens to a host that enrols for the first time. Whoever comes first takes a"
        " name that nobody has yet: unless an operator looks at the key ('operator'), or has said"
        " which it is ('expected': 'openstack attestation host enrol', or ek_pins).",
    ),
    cfg.FloatOpt(
        "nonce_lifetime",
        default=30.0,
        min=1.0,
        help="Seconds in which a challenge is answered. To a host whose lease is no longer than"
        " twice as much, the next one comes with the lease: an attestation is one call then.",
    ),
    cfg.FloatOpt(
        "enrolment_lifetime",
        default=60.0,
        min=1.0,
        help="Seconds in which a credential challenge is answered.",
    ),
    cfg.StrOpt(
        "key_user_id",
        default="",
        help="Keystone user id that tenants let read their image keys. Empty: the user of"
        " [service_auth], asked from keystone.",
    ),
    cfg.FloatOpt(
        "agent_timeout",
        default=60.0,
        min=1.0,
        help="Seconds a host's agent has to collect a guest's evidence.",
    ),
    cfg.FloatOpt(
        "sweep_interval",
        default=2.0,
        min=0.1,
        help="Seconds between two sweeps of leases and challenges that ran out.",
    ),
    cfg.FloatOpt(
        "busy_after",
        default=1.0,
        min=0.0,
        help="Once enrolments and periodic attestations wait so many seconds for a thread of this"
        " worker, more of them are refused (BUSY) and told when to come again. Launches, and hosts"
        " that answer a challenge, are not.",
    ),
    cfg.IntOpt(
        "waiting_max",
        default=1000,
        min=1,
        help="Calls of all kinds that may wait for a thread of this worker; beyond, all are"
        " refused.",
    ),
    cfg.IntOpt("verdicts_kept", default=50, min=1, help="Verdicts kept for each host."),
    cfg.IntOpt("refusals_kept", default=50, min=1, help="Refusals kept for each server."),
    cfg.IntOpt("launches_kept", default=20, min=1, help="Ended launches kept for each server."),
    cfg.IntOpt("events_kept", default=5000, min=1, help="Events kept of each kind."),
]
