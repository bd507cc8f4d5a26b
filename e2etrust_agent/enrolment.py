# SPDX-License-Identifier: Apache-2.0
"""Flow 1, enrol: prove to the verifier that the attestation key lives in the enrolled TPM."""

from __future__ import annotations

from e2etrust_agent.attester import Attester
from e2etrust_agent.verifier_bus import VerifierBus
from e2etrust_core import messages


def enrol(attester: Attester, verifier: VerifierBus) -> bool:
    """Enrol this host, or learn that it is; return whether it was new.

    :raises e2etrust_core.messages.RemoteRefusal: the verifier takes no such host.
    :raises e2etrust_agent.errors.VerifierDownError: nobody answered.
    :raises e2etrust_core.tpm.errors.TpmError: the TPM refused the credential.
    """
    identity = attester.identity
    challenge = verifier.enrol_begin(
        messages.EnrolRequest(
            host=identity.host,
            suite=identity.ak.suite,
            ek_public=identity.ek_public,
            ak_public=identity.ak.public,
            ek_certificate=identity.ek_certificate,
            ek_chain=attester.ek_chain(),
        )
    )
    if not challenge.enrolment:
        return False
    secret = attester.activate(challenge.credential_blob, challenge.encrypted_secret)
    verifier.enrol_finish(messages.EnrolAnswer(challenge.enrolment, secret))
    return True
