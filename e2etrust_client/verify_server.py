# SPDX-License-Identifier: Apache-2.0
"""Verify a server from evidence: host -> launch -> guest, nothing on the verifier's word.

Two rounds.  The first asks which keys the guest's vTPM has; the second sends a credential that
only that vTPM can open (TPM2_ActivateCredential), and has guest and host quote together.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from e2etrust_client.api import AttestationClient
from e2etrust_client.launch_record import read_record
from e2etrust_core.appraisal.model import CheckResult, Verdict
from e2etrust_core.appraisal.server import verify_server
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_core.messages import GuestAsk, LaunchRecord


@dataclass(frozen=True, slots=True)
class ServerVerification:
    """What was found: the launch record's claims and one row per check."""

    record: LaunchRecord
    verdict: Verdict


def verify(
    client: AttestationClient,
    instance: str,
    jwks: dict[str, Any] | None = None,
    image_header: bytes | None = None,
) -> ServerVerification:
    """Verify *instance* with a fresh nonce.

    :param jwks: the verifier's key set, where it is known from elsewhere; fetched otherwise.
    :param image_header: digest of the sealed image's header that the server must run from.
    :raises E2ETrustError: evidence cannot be had or read.  What was had and does not hold is
        a failed row in the verdict instead.
    """
    nonce = secrets.token_bytes(32)
    secret = secrets.token_bytes(32)
    keys = client.jwks() if jwks is None else jwks
    first = client.server_evidence(GuestAsk(instance, nonce))
    identity = first.evidence.identity
    blob, encrypted = make_credential(identity.ek_public, name_of(identity.ak_public), secret)
    second = client.server_evidence(GuestAsk(instance, nonce, blob, encrypted))
    record = read_record(second.record, keys)
    signed = CheckResult("record-signature", "pass", "the verifier's key signed the launch record")
    asked = _asked_for(instance, record)
    rest = verify_server(record, second.evidence, nonce, secret, challenged=identity)
    image = _of_image(record, image_header)
    return ServerVerification(record, Verdict([signed, asked, image, *rest.checks]))


def _asked_for(instance: str, record: LaunchRecord) -> CheckResult:
    if record.request.instance == instance:
        return CheckResult("record-instance", "pass", "the launch record is of this server")
    return CheckResult(
        "record-instance",
        "fail",
        "the launch record is of another server",
        code="RECORD_FOREIGN",
        remedy="do not use this server; tell the operator that records are mixed up",
    )


def _of_image(record: LaunchRecord, expected: bytes | None) -> CheckResult:
    """What the host measured of the disk: a plain one may be in the place of a sealed one, for
    Nova does not tell hosts that an image is sealed."""
    measured = record.request.measurement.sealed_header
    if expected is None:
        told = "no sealed image" if measured is None else f"the sealed image {measured.hex()}"
        return CheckResult("sealed-image", "pass", f"nobody asked which; it started from {told}")
    if measured == expected:
        return CheckResult("sealed-image", "pass", "it started from the sealed image you named")
    return CheckResult(
        "sealed-image",
        "fail",
        "it started from another sealed image, or from one that is not sealed",
        code="IMAGE_FOREIGN",
        remedy="do not use this server: its image was swapped; upload yours again and rebuild",
    )
