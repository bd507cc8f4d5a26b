# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from e2etrust_core.suites import Suite
from e2etrust_core.tpm.device import Tpm

EkKind = Literal["rsa2048", "ecc-p256"]


@dataclass(frozen=True, slots=True)
class EndorsementKey:
    """``public`` TPMT_PUBLIC, ``certificate`` DER or None where the TPM carries none."""

    kind: EkKind
    public: bytes
    certificate: bytes | None


@dataclass(frozen=True, slots=True)
class AttestationKey:
    """An AK to keep: ``public`` TPMT_PUBLIC, ``private`` TPM2B_PRIVATE (of use to its TPM only)."""

    suite: str
    ek_kind: EkKind
    public: bytes
    private: bytes


def read_ek(tpm: Tpm, kind: EkKind | None = None) -> EndorsementKey:
    """Return the EK; without *kind* the first one that has a certificate, else ECC."""
    raise NotImplementedError


def create_ak(tpm: Tpm, suite: Suite, ek_kind: EkKind) -> AttestationKey:
    """Make an AK under that EK."""
    raise NotImplementedError


def check_ak_loads(tpm: Tpm, ak: AttestationKey) -> None:
    """:raises KeyLost: the blob is not of this TPM."""
    raise NotImplementedError
