# SPDX-License-Identifier: Apache-2.0
"""Why the verifier refuses."""

from __future__ import annotations

from oslo_db import exception as db_exc

from e2etrust_core.errors import E2ETrustError


class TrustError(E2ETrustError):
    """The verifier refuses."""

    code = "REFUSED"
    remedy = "look into the verifier's log"


class DatabaseDown(TrustError):
    code = "DATABASE_DOWN"
    remedy = "start the verifier's database; workers connect again by themselves"


class HostNameWrong(TrustError):
    code = "HOST_NAME_WRONG"
    remedy = "name hosts with letters, digits, dot, hyphen and underscore, at most 253 characters"


class HostUnknown(TrustError):
    code = "HOST_UNKNOWN"
    remedy = "the agent enrols by itself when it starts: restart e2etrust-agent on that host"


class HostKnown(TrustError):
    """CVE-2025-13609: a name in use is not given to another TPM."""

    code = "HOST_KNOWN"
    remedy = "if the TPM was really replaced: e2etrust-manage host remove, then restart the agent"


class TpmEnrolled(TrustError):
    """A TPM that speaks for two names tells nothing of the machine that has the second."""

    code = "TPM_ENROLLED"
    remedy = (
        "find the other name by the EK's SHA-256: openstack attestation enrolment list; if the"
        " machine was renamed: openstack attestation host delete OLD-NAME"
    )


class HostHeld(TrustError):
    code = "HOST_HELD"
    remedy = "an operator looks into the failed checks, then: e2etrust-manage host approve"


class ReportUnproven(TrustError):
    code = "REPORT_UNPROVEN"
    remedy = "install the same release of e2etrust-agent on that host; what is unsigned counts not"


class EkNotPinned(TrustError):
    code = "EK_NOT_PINNED"
    remedy = (
        "check which machine this is; if its TPM was really replaced, correct ek_pins, or:"
        " openstack attestation host enrol"
    )


class HostUnexpected(TrustError):
    """New hosts enrol only where an operator said which TPM they have (new_hosts = expected)."""

    code = "HOST_UNEXPECTED"
    remedy = (
        "e2etrust-agent --show-identity on the host, then: openstack attestation host enrol HOST"
        " --ek-sha256 HEX"
    )


class HostOther(TrustError):
    """The name was enrolled by another TPM than the operator means."""

    code = "HOST_OTHER"
    remedy = (
        "openstack attestation enrolment show HOST tells who has the name; give it to the right"
        " TPM: openstack attestation host enrol HOST --ek-sha256 HEX --replace"
    )


class HostNotExpected(TrustError):
    code = "HOST_NOT_EXPECTED"
    remedy = "openstack attestation host inventory list shows of which hosts a TPM is expected"


class EnrolmentUnknown(TrustError):
    code = "ENROLMENT_UNKNOWN"
    remedy = "enrol again"


class EnrolmentWrong(TrustError):
    """CVE-2023-38201: says nothing of what was expected, and there is no second try."""

    code = "ENROLMENT_WRONG"
    remedy = "enrol again, from the machine whose TPM has these keys"


class NonceUnknown(TrustError):
    code = "NONCE_UNKNOWN"
    remedy = "ask for a new challenge"


class EvidenceStale(TrustError):
    code = "EVIDENCE_STALE"
    remedy = "ask for a new challenge"


class VerifierBusy(TrustError):
    """Nothing was looked at.  ``retry_after``: seconds after which to come again."""

    code = "BUSY"
    remedy = (
        "nothing: the agent comes again by itself; if hosts lose leases by it, start more workers"
    )

    def __init__(self, retry_after: float) -> None:
        super().__init__("the verifier has too much to do")
        self.retry_after = retry_after


class PolicyMissing(TrustError):
    code = "POLICY_NONE"
    remedy = "write a policy whose 'hosts' match this host into policy_dir"


class PolicyRolledBack(TrustError):
    code = "POLICY_ROLLED_BACK"
    remedy = (
        "bring this worker's policy_dir up to date; to go back on purpose:"
        " e2etrust-manage policy accept FILE"
    )


class PolicyAltered(TrustError):
    code = "POLICY_ALTERED"
    remedy = (
        "raise the policy's version with each change of it and of the files it names; if the"
        " number was raised already: e2etrust-manage policy accept FILE"
    )


class LeaseNone(TrustError):
    code = "LEASE_NONE"
    remedy = "the operator reads why: openstack attestation host show"


class LevelTooLow(TrustError):
    """The server demands a higher level than the host's policy gives."""

    code = "LEVEL_TOO_LOW"
    remedy = "start it on a host of that level, or resize it to a flavor that demands less"


class LeaseChanged(TrustError):
    code = "LEASE_CHANGED"
    remedy = "start the server again"


class LaunchUnknown(TrustError):
    code = "LAUNCH_UNKNOWN"
    remedy = "stop the server and start it again through Nova"


class KeyDenied(TrustError):
    code = "KEY_DENIED"
    remedy = "the owner of the image lets the verifier read its key (sealing does so by itself)"


class KeyUnknown(TrustError):
    code = "KEY_UNKNOWN"
    remedy = "the key of this image is not in the key manager: seal and upload the image again"


class KeyUnavailable(TrustError):
    code = "KEY_UNAVAILABLE"
    remedy = "start the server again; if it stays so, the operator checks the key manager"


def of_database(exc: Exception) -> TrustError:
    """Return what callers are told of one of :data:`.group_commit.RETRIED`, tried often enough."""
    if isinstance(exc, db_exc.DBDeadlock):
        return VerifierBusy(1.0)
    return DatabaseDown("the verifier's database does not answer")
