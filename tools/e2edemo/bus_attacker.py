# SPDX-License-Identifier: Apache-2.0
"""An attacker on host 1 with all that its agent has: the message bus, the TPM, the AK.

Run as root in that host.  It records a good quote, sends it again in two ways, and sends a fresh
quote of this host as another host's.  Prints one JSON object: what was tried -> the code of the
refusal, or ACCEPTED.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import oslo_messaging
from oslo_config import cfg

from e2etrust_agent.attester import Attester
from e2etrust_agent.conf import opts
from e2etrust_agent.domains import running_domains
from e2etrust_agent.identity import load_or_create
from e2etrust_agent.launches import LaunchBook
from e2etrust_agent.verifier_bus import VerifierBus
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.launch import attest_binding
from e2etrust_core.messages import AttestRequest, Challenge, ChallengeRequest
from e2etrust_core.tpm.device import open_tpm

_VICTIM = "host2"


def main() -> int:
    conf = cfg.CONF  # oslo.messaging keeps options of its own on the global one
    opts.register(conf)
    conf([], project="e2etrust", default_config_files=["/etc/e2etrust/agent.conf"])
    settings = opts.settings(conf)
    bus = VerifierBus(oslo_messaging.get_rpc_transport(conf), settings.rpc_timeout)
    with open_tpm(settings.tcti) as tpm:
        identity = load_or_create(tpm, settings.host, settings.suite, settings.state_dir)
        book = LaunchBook(settings.state_dir / "launches.json", settings.start_grace)
        status_dir = settings.domain_status_dir

        def domains() -> list:
            return running_domains(Path(status_dir))

        attester = Attester(tpm, identity, settings.logs, domains, book)
        print(json.dumps(attack(bus, attester, settings.host)))
    return 0


def attack(bus: VerifierBus, attester: Attester, host: str) -> dict[str, str]:
    """Try every replay and return what came of each."""
    recorded_for = _challenge(bus, host)
    recorded = attester.evidence(recorded_for, attest_binding)
    bus.attest(AttestRequest(host, recorded_for.nonce, recorded))  # the good run, as recorded
    again = _challenge(bus, host)
    foreign = _challenge(bus, _VICTIM)
    as_victim = attester.evidence(foreign, attest_binding)
    return {
        "recorded quote, its own nonce": _send(
            bus, AttestRequest(host, recorded_for.nonce, recorded)
        ),
        "recorded quote, fresh nonce": _send(bus, AttestRequest(host, again.nonce, recorded)),
        "host1's fresh quote as host2's": _send(
            bus, AttestRequest(_VICTIM, foreign.nonce, as_victim)
        ),
    }


def _challenge(bus: VerifierBus, host: str) -> Challenge:
    return bus.challenge(ChallengeRequest(host, "attest"))


def _send(bus: VerifierBus, request: AttestRequest) -> str:
    try:
        result = bus.attest(request)
    except E2ETrustError as exc:
        return exc.code
    failed = [c.code for c in result.checks if c.outcome != "pass"]
    return failed[0] if failed else "ACCEPTED"


if __name__ == "__main__":
    sys.exit(main())
