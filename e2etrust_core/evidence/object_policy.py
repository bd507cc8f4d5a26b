# SPDX-License-Identifier: Apache-2.0
"""Policies of TPM objects, and the digest that each comes to (TPM 2.0 Library Part 1, 19.7).

A policy is steps in their order: PCR values, a secret, a counter that has not gone past a number,
or whatever an authority signs later.  All digests are SHA-256.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from e2etrust_core.errors import InputError
from e2etrust_core.evidence.key_wrap import TPM_CC_POLICY_PCR, selected_values
from e2etrust_core.evidence.model import PcrSelection, PcrValues
from e2etrust_core.evidence.tpm_bytes import uint
from e2etrust_core.evidence.tpm_structures import encode_selection, name_of

# Part 2, 6.5.2
TPM_CC_POLICY_NV = 0x00000149
TPM_CC_POLICY_SECRET = 0x00000151
TPM_CC_POLICY_AUTHORIZE = 0x0000016A
TPM_EO_UNSIGNED_LE = 0x0009  # Part 2, 6.8
COUNTER_SIZE = 8
_EMPTY = bytes(32)


@dataclass(frozen=True, slots=True)
class PcrsAre:
    """TPM2_PolicyPCR (Part 3, 23.7).  ``values`` holds each that ``selection`` names."""

    selection: PcrSelection
    values: PcrValues

    def digest(self, before: bytes) -> bytes:
        """:raises InputError: nothing is selected, or a value is missing."""
        values = hashlib.sha256(selected_values(self.selection, self.values)).digest()
        command = uint(TPM_CC_POLICY_PCR, 4) + encode_selection(self.selection) + values
        return _extended(before, command)


@dataclass(frozen=True, slots=True)
class SecretKnown:
    """TPM2_PolicySecret (Part 3, 23.4): who asks knows the authorisation of that hierarchy."""

    hierarchy: int

    def digest(self, before: bytes) -> bytes:
        command = uint(TPM_CC_POLICY_SECRET, 4) + uint(self.hierarchy, 4)
        return _extended(_extended(before, command), b"")


@dataclass(frozen=True, slots=True)
class CounterAtMost:
    """TPM2_PolicyNV (Part 3, 23.9): the NV counter of that Name has not gone past ``limit``."""

    index: int
    name: bytes
    limit: int

    @property
    def operand(self) -> bytes:
        return uint(self.limit, COUNTER_SIZE)

    def digest(self, before: bytes) -> bytes:
        asked = hashlib.sha256(self.operand + uint(0, 2) + uint(TPM_EO_UNSIGNED_LE, 2)).digest()
        return _extended(before, uint(TPM_CC_POLICY_NV, 4) + asked + self.name)


@dataclass(frozen=True, slots=True)
class Approval:
    """Steps that an authority approves: ``signature`` TPMT_SIGNATURE over :func:`to_be_signed`."""

    steps: tuple[PcrsAre | SecretKnown | CounterAtMost, ...]
    signature: bytes


@dataclass(frozen=True, slots=True)
class Authorized:
    """TPM2_PolicyAuthorize (Part 3, 23.16): any steps that this authority signed.

    So PCR sets are approved and, with :class:`CounterAtMost` among the steps, taken back, without
    sealing anything again.

    ``authority`` TPMT_PUBLIC of a signing key; ``purpose`` is in what it signs, so that what it
    approves for one use is nothing elsewhere; ``approval`` is needed to satisfy, not to seal.
    """

    authority: bytes
    purpose: bytes
    approval: Approval | None = None

    def digest(self, _before: bytes) -> bytes:
        """What was before does not count: the authority approves that.

        :raises StructureError: the authority's key is no public area.
        """
        command = uint(TPM_CC_POLICY_AUTHORIZE, 4) + name_of(self.authority)
        return _extended(_extended(_EMPTY, command), self.purpose)


Step = PcrsAre | SecretKnown | CounterAtMost | Authorized


def policy_digest(steps: tuple[Step, ...]) -> bytes:
    """Return the authPolicy of an object that these steps open.

    :raises InputError: there is none, so that anyone would open it.
    """
    if not steps:
        raise InputError("a policy without a step protects nothing")
    digest = _EMPTY
    for step in steps:
        digest = step.digest(digest)
    return digest


def to_be_signed(steps: tuple[PcrsAre | SecretKnown | CounterAtMost, ...], purpose: bytes) -> bytes:
    """Return the SHA-256 digest that an authority signs to approve *steps* (Part 3, 23.16.1)."""
    return hashlib.sha256(policy_digest(steps) + purpose).digest()


def _extended(before: bytes, more: bytes) -> bytes:
    return hashlib.sha256(before + more).digest()
