# SPDX-License-Identifier: Apache-2.0
"""Option group ``[agent]`` and the agent's own name on the message bus."""

from __future__ import annotations

import socket
from typing import get_args

from oslo_config import cfg

from e2etrust_core.suites import SUITES
from e2etrust_core.tpm.ek_templates import EkKind

DEFAULT_OPTS = [
    cfg.StrOpt(
        "host",
        default=socket.gethostname(),
        sample_default="<the machine's host name>",
        help="Name of this compute host, as nova-compute's [DEFAULT] host has it.",
    ),
]

AGENT_OPTS = [
    cfg.StrOpt(
        "tcti",
        default="device:/dev/tpmrm0",
        help="How to reach the TPM, in the words of tpm2-tss: device:PATH, tabrmd: (the daemon"
        " tpm2-abrmd; bus_name=N,bus_type=T may follow), swtpm:path=SOCKET, swtpm:host=H,port=P or"
        " mssim:host=H,port=P.",
    ),
    cfg.StrOpt(
        "suite",
        default="ecc-p256-sha256",
        choices=list(SUITES),
        help="Algorithm suite of the attestation key. Changing it is another identity.",
    ),
    cfg.StrOpt(
        "ek",
        default="auto",
        choices=["auto", *get_args(EkKind)],
        help="Endorsement key that the host enrols with. auto: the first of ecc-p256, rsa2048,"
        " sm2-sm3, sm2, ecc-p384 and rsa3072 that the TPM has a certificate of in NV; where it has"
        " none, the first whose algorithms it has. sm2-sm3 is the TCG's own key on the SM2 curve,"
        " named by SM3 and protecting by SM4; sm2 is for TPMs that have neither. A key without a"
        " certificate needs the operator's word (attestation host enrol). Changing it is another"
        " identity.",
    ),
    cfg.StrOpt(
        "socket",
        default="/run/e2etrust/agent.sock",
        help="Unix socket where the libvirt hook asks. Its directory belongs to root.",
    ),
    cfg.StrOpt(
        "state_dir",
        default="/var/lib/e2etrust",
        help="Directory of the attestation key, of launches and of reports still to be sent.",
    ),
    cfg.StrOpt(
        "event_log",
        default="/sys/kernel/security/tpm0/binary_bios_measurements",
        help="TCG event log of this boot; empty where the host has none.",
    ),
    cfg.StrOpt(
        "ima_list",
        default="/sys/kernel/security/ima/binary_runtime_measurements",
        help="IMA measurement list, sent where a policy has rules for it; empty where the host "
        "has none. What the verifier knows of it already is not sent again.",
    ),
    cfg.StrOpt(
        "systemd_log",
        default="/run/log/systemd/tpm2-measure.log",
        help="What systemd measured after the firmware; sent with the event log where it is there.",
    ),
    cfg.StrOpt(
        "libvirt_uri",
        default="qemu:///system",
        help="libvirt through which a guest is asked for its evidence.",
    ),
    cfg.StrOpt(
        "domain_status_dir",
        default="/run/libvirt/qemu",
        help="Where libvirt's QEMU driver keeps the status of running domains. It is read from "
        "there, since a question to libvirtd would wait for the very hook that waits for us.",
    ),
    cfg.StrOpt(
        "demand",
        default="flavor",
        choices=[
            ("flavor", "a server demands trust where its flavor or image does"),
            ("always", "every server that starts on this host demands trust, Nova's or not"),
        ],
        help="Which servers the libvirt hook lets start only on proof. 'always' is for hosts of "
        "an aggregate with the metadata trust:trusted_host=trusted, of which the hook cannot "
        "know. Empty the host before: servers that run without a launch record then count "
        "against it. It needs the default state_dir, where the hook looks.",
    ),
    cfg.StrOpt(
        "verifier_keys",
        default="",
        help="File with the verifier's public keys (a JWK set, what 'e2etrust-manage key jwks'"
        " writes). Answers that none of them signed are refused. While a key takes the place of"
        " another the file has both; it is read at each call. Empty: whoever may write to the"
        " message bus can answer in the verifier's place.",
    ),
    cfg.FloatOpt(
        "rpc_timeout",
        default=5.0,
        min=0.5,
        max=60,
        help="Seconds to wait for one answer of the verifier. A launch makes at most three calls.",
    ),
    cfg.FloatOpt(
        "retry_interval",
        default=2.0,
        min=0.1,
        help="Seconds before a failed enrolment or attestation is tried again; doubles with "
        "each failure, with jitter, up to retry_interval_max.",
    ),
    cfg.FloatOpt("retry_interval_max", default=20.0, min=0.1, help="See retry_interval."),
    cfg.FloatOpt(
        "start_jitter",
        default=2.0,
        min=0.0,
        help="The first attestation waits up to so many seconds, at random, so that hosts that "
        "boot together do not come together. A launch or an attestation on demand does not wait.",
    ),
    cfg.FloatOpt(
        "start_grace",
        default=180.0,
        min=1,
        help="Seconds that a granted launch may take until its domain runs.",
    ),
    cfg.FloatOpt(
        "guest_timeout",
        default=20.0,
        min=1,
        help="Seconds that a guest may take to produce its evidence.",
    ),
]
