# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a TPM at hand."""

from __future__ import annotations

from e2etrust_core.errors import E2ETrustError


class TpmError(E2ETrustError):
    """The TPM refused a command or cannot be used."""

    code = "TPM_FAILED"
    remedy = "look at the TPM with tpm2_getcap properties-variable; a power cycle may be needed"


class TpmUnreachable(TpmError):
    """No TPM answers there."""

    code = "TPM_UNREACHABLE"
    remedy = "check `tcti` in agent.conf, that the TPM is on, and that nobody else holds it"


class KeyLost(TpmError):
    """A key blob is not of this TPM (any more)."""

    code = "TPM_KEY_LOST"
    remedy = "the TPM was cleared or replaced: enrol this host again"


class CredentialRefused(TpmError):
    """The credential was made for another EK or AK."""

    code = "CREDENTIAL_REFUSED"
    remedy = "enrol again; if it stays so, another machine may be using this host's name"


class UnwrapRefused(TpmError):
    """The wrapped key is for another TPM or another PCR state."""

    code = "KEY_NOT_FOR_THIS_STATE"
    remedy = "attest the host and start the server again"


class PcrsUnstable(TpmError):
    """PCRs changed each time they were read."""

    code = "PCRS_UNSTABLE"
    remedy = "choose PCRs for the policy that are not extended all the time"
