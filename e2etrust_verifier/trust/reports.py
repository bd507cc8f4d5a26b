# SPDX-License-Identifier: Apache-2.0
"""Is a report the word of the host that it names?

Whoever has the message bus's password can write to the verifier's topic; only the host's TPM can
sign for the host.
"""

from __future__ import annotations

from dataclasses import replace

from e2etrust_core import suites
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.quote import verify_statement
from e2etrust_core.launch import report_binding
from e2etrust_core.messages import LaunchUpdate, RefusalReport
from e2etrust_verifier.db import events, hosts
from e2etrust_verifier.db.models import Host
from e2etrust_verifier.trust.errors import HostUnknown, ReportUnproven
from e2etrust_verifier.trust.names import check_host_name
from e2etrust_verifier.trust.surroundings import Surroundings


def check_proof(around: Surroundings, method: str, report: LaunchUpdate | RefusalReport) -> None:
    """Raise unless the AK of the host that *report* names signed it, for that *method*.

    :raises HostNameWrong, HostUnknown: it names no host of ours.
    :raises ReportUnproven: it is not signed.
    :raises QuoteError: it is signed by another key, or was altered since.
    """
    check_host_name(report.host)
    record = around.db.read(lambda s: hosts.find(s, report.host))
    if record is None:
        raise HostUnknown(f"host {report.host} is not enrolled")
    try:
        _check(record, method, report)
    except E2ETrustError as exc:
        now, told = around.now(), str(exc)
        around.db.write(
            lambda s: events.add_refused(s, "report-refused", told, now=now, host=report.host)
        )
        raise


def _check(record: Host, method: str, report: LaunchUpdate | RefusalReport) -> None:
    if report.proof is None:
        raise ReportUnproven("the report does not carry its host's signature")
    binding = report_binding(method, replace(report, proof=None))
    suite = suites.suite(record.suite)
    verify_statement(report.proof, record.ak_public, suite, binding, record.ek_public)
