# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from datetime import datetime


def verify_ek_certificate(
    certificate: bytes | None, ek_public: bytes, ca_bundle: bytes, now: datetime
) -> str:
    """Check that *certificate* (DER) is of *ek_public* and chains to *ca_bundle* (PEM).

    Return the certificate's SHA-256 fingerprint (hex).

    :raises EkCertificateError: one subclass for each named outcome.
    """
    raise NotImplementedError
