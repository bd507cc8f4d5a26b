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


class TctiUnknown(TpmUnreachable):
    """The setting is no way to a TPM."""

    code = "TCTI_UNKNOWN"
    remedy = "write `tcti` as agent.conf.sample says, such as device:/dev/tpmrm0"


class TctiAbsent(TpmUnreachable):
    """The TSS's module for that way to a TPM is not installed."""

    code = "TCTI_NOT_INSTALLED"
    remedy = "install it: Debian's packages are called libtss2-tcti-KIND0"


class EkKindUnsupported(TpmError):
    """The TPM cannot make an endorsement key of that kind."""

    code = "EK_KIND_UNSUPPORTED"
    remedy = "set [agent] ek to auto, or to a kind whose algorithms tpm2_getcap algorithms lists"


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


class SaltKeyForeign(TpmError):
    """The key that secrets would be encrypted to is not the one that is known."""

    code = "TPM_KEY_FOREIGN"
    remedy = "the TPM was replaced, or something sits between it and the machine: find out which"


class PolicyUnsatisfied(TpmError):
    """The TPM does not find the policy of what is sealed to hold."""

    code = "TPM_POLICY_UNSATISFIED"
    remedy = "compare the PCRs with those approved; ask the authority for a newer approval"


class NvFailed(TpmError):
    """An NV index is absent, of another kind, or cannot be made."""

    code = "TPM_NV_REFUSED"
    remedy = "look at the TPM with tpm2_nvreadpublic"
