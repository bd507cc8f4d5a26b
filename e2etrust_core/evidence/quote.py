# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from dataclasses import dataclass

from e2etrust_core.evidence.model import PcrSelection, PcrValues, Quote
from e2etrust_core.suites import Suite


@dataclass(frozen=True, slots=True)
class QuoteFacts:
    """What a good quote says.  ``clock`` in milliseconds; ``pcrs`` are under the signature."""

    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int
    pcrs: PcrValues


def verify_quote(
    quote: Quote,
    ak_public: bytes,
    qualifying: bytes,
    selection: PcrSelection,
    ek_public: bytes | None = None,
) -> QuoteFacts:
    """Check *quote* wholly and return what it says.

    :param ek_public: the AK's parent; where given, the qualified signer must be the AK under it.
    :raises QuoteError: the subclass names the check that failed.
    """
    raise NotImplementedError


def check_ak(ak_public: bytes, suite: Suite) -> None:
    """:raises AkRefused: not a restricted signing key of that suite, fixed to its TPM."""
    raise NotImplementedError
