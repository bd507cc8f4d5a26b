# SPDX-License-Identifier: Apache-2.0
"""The root of every error of ours: a code, what happened, and what to do about it."""

from __future__ import annotations


class E2ETrustError(Exception):
    """Something was refused or failed.

    :param reason: one sentence for people; holds no secret and no expected value.
    :param code: short upper-case word that stays the same across releases.
    :param remedy: what the reader can do next, or an empty string.
    :param where: the place in a host's evidence that it is about, or an empty string.
    """

    code = "E2ETRUST_ERROR"
    remedy = "look into the log of the service that said so"

    def __init__(
        self,
        reason: str,
        *,
        code: str | None = None,
        remedy: str | None = None,
        where: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where
        if code is not None:
            self.code = code
        if remedy is not None:
            self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"

    def with_remedy(self) -> str:
        """Return it for one line: the code, why, and what to do next where that is known."""
        return f"{self}. Next: {self.remedy}" if self.remedy else str(self)


class InputError(E2ETrustError):
    """Bytes or values from outside are not of the shape they must have."""

    code = "INPUT_MALFORMED"
    remedy = "correct what was given; the reason says what is wrong with it"


class SuiteError(E2ETrustError):
    """An algorithm suite is unknown or cannot be used here."""

    code = "SUITE_UNSUPPORTED"
    remedy = "choose another suite: the TPM, or this release, does not have that one"


class EvidenceError(InputError):
    """Evidence cannot be decoded."""

    code = "EVIDENCE_MALFORMED"
    remedy = "attest again; if it stays so, compare releases, then look for tampering"


class PolicyError(InputError):
    """A policy document is not one."""

    code = "POLICY_MALFORMED"
    remedy = "correct the policy: e2etrust-manage policy check FILE says what is wrong"
