# SPDX-License-Identifier: Apache-2.0
"""Which endorsement keys are accepted: the inventory's, and those a TPM maker vouches for."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from e2etrust_core.appraisal.tpm_checks import vouched
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.ek_certificate import verify_ek_certificate
from e2etrust_core.evidence.tpm_structures import ek_sha256
from e2etrust_core.one_line import printable
from e2etrust_verifier.trust.errors import EkNotPinned

#: By what an EK is accepted that an operator expects of its host.
BY_INVENTORY = "inventory"


class InventoryError(E2ETrustError):
    """The operator's own files about TPMs cannot be read."""

    code = "INVENTORY_UNREADABLE"
    remedy = "the operator corrects ek_ca_bundle or ek_pins of the verifier"


@dataclass(frozen=True, slots=True)
class Endorsement:
    """Where certificates and pins are; None where there are none.  Read at each enrolment."""

    ca_bundle: Path | None
    pins: Path | None

    def accept(
        self,
        host: str,
        ek_public: bytes,
        ek_certificate: bytes | None,
        now: datetime,
        expected: Collection[str] = (),
        ek_chain: bytes = b"",
    ) -> str:
        """Return by what that EK is accepted for *host*.

        :param ek_public: TPMT_PUBLIC.
        :param ek_certificate: DER, or None.
        :param expected: SHA-256 (hex) of EKs that operators expect of this host, besides those in
            the file of pins.
        :param ek_chain: as the TPM carries it, see :mod:`e2etrust_core.evidence.ek_chain`.
        :raises EkNotPinned: the inventory has another EK for this host, or this EK for another.
        :raises EkCertificateError: no certificate, or none that holds (named outcomes).
        :raises InventoryError: the operator's files cannot be read.
        """
        table, digest = self._table(), ek_sha256(ek_public)
        pinned = [*_pins(table, host), *expected]
        if pinned:
            if not any(hmac.compare_digest(digest, pin) for pin in pinned):
                raise EkNotPinned(f"the inventory has another EK for host {host}")
            return BY_INVENTORY
        bundle = b"" if self.ca_bundle is None else _read(self.ca_bundle)
        found = verify_ek_certificate(ek_certificate, ek_public, bundle, now, ek_chain)
        if any(digest in _pins(table, other) for other in table):
            raise EkNotPinned(f"the inventory has the EK of host {host} for another")
        return vouched(found)

    def _table(self) -> dict[str, Any]:
        if self.pins is None:
            return {}
        try:
            table: Any = yaml.safe_load(_read(self.pins)) or {}
        except yaml.YAMLError:
            raise InventoryError("ek_pins is not YAML") from None
        if not isinstance(table, dict):
            raise InventoryError("ek_pins is not a mapping of host names")
        if not all(isinstance(name, str) for name in table):
            # Nobody would find the pin of that host, and a certificate would do instead.
            raise InventoryError("ek_pins has a name that YAML takes for another thing: in quotes")
        return table


def _pins(table: dict[str, Any], host: str) -> list[str]:
    if host not in table:
        return []
    entry = table[host]
    pins = [entry] if isinstance(entry, str) else entry
    if not isinstance(pins, list) or not pins or not all(isinstance(p, str) for p in pins):
        raise InventoryError(f"ek_pins names no SHA-256 in hex for {printable(host, 255)}")
    return [pin.lower() for pin in pins]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InventoryError(f"{path.name} cannot be read: {exc.strerror}") from None
