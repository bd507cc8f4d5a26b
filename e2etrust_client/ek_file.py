# SPDX-License-Identifier: Apache-2.0
"""The certificate of an endorsement key as an operator's pin: which key it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2etrust_client import given_file
from e2etrust_client.errors import FileError
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.ek_certificate import read_ek_certificate_file
from e2etrust_core.evidence.ek_manufacturer import manufacturer_of, manufacturer_text
from e2etrust_core.evidence.public_areas import ek_areas_of
from e2etrust_core.evidence.tpm_structures import ek_sha256

_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class EkFile:
    """``ek_sha256``: of the TPMT_PUBLIC (hex), one for each kind of key (an SM2 key is of two);
    ``told``: what was read, for people."""

    ek_sha256: list[str]
    told: str


def read_ek_file(path: Path) -> EkFile:
    """Read the file (PEM, or DER as it lies in a TPM's NV) and verify nothing of it.

    :raises FileError: it cannot be read, or is no certificate of a key that agents use.
    """
    try:
        leaf = read_ek_certificate_file(given_file.read(path, _LARGEST))
        maker, fingerprint = manufacturer_of(leaf.der)
        areas = ek_areas_of(leaf.key)
    except E2ETrustError as exc:
        raise FileError(f"{path}: {exc.reason}", code=exc.code) from None
    if not areas:
        raise FileError(
            f"{path} certifies a key of a size, exponent or curve that no agent uses",
            remedy="see which key the host uses: e2etrust-agent --show-identity there",
        )
    told = (
        f"{path}: {' or '.join(areas)} key of a TPM"
        f" of {manufacturer_text(maker) if maker is not None else 'a maker it does not name'},"
        f" valid until {leaf.not_after.date().isoformat()}, SHA-256 of the certificate"
        f" {fingerprint}; not verified"
    )
    return EkFile([ek_sha256(area) for area in areas.values()], told)
