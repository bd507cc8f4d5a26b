# SPDX-License-Identifier: Apache-2.0
"""The authorities' certificates that a TPM carries between its EK's and its maker's.

TCG EK Credential Profile 2.5, 2.2.1.5.2: NV indices 0x01C00100 to 0x01C001FF hold DER certificates,
one behind the other, and one may go on in the next index.  Firmware TPMs (Intel's on-die CA) have
there what is certified for each machine and so in nobody's bundle.  It is what a host says: it may
lead to an authority that the operator trusts, and is never one.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2etrust_core.evidence.certificate import Certificate, load_certificate
from e2etrust_core.evidence.der import SEQUENCE, DerReader
from e2etrust_core.evidence.errors import EkCertificateUnreadable, EkChainUnreadable

#: Most that a host sends and that is read: bytes, and certificates.
MAX_EK_CHAIN = 32 * 1024
_MAX_CERTIFICATES = 16
#: What NV indices are filled up with.
_PADDING = b"\xff\0"


@dataclass(frozen=True, slots=True)
class EkChain:
    """``fault`` says what of it could not be read, None: all of it could."""

    certificates: tuple[Certificate, ...] = ()
    fault: EkChainUnreadable | None = None


def read_ek_chain(area: bytes) -> EkChain:
    """Return the certificates in *area*, the contents of those indices in their order.

    A certificate that cannot be read takes no other down with it; behind bytes that are none there
    is no telling where the next one begins.
    """
    if len(area) > MAX_EK_CHAIN:
        return EkChain((), _fault(f"it has {len(area)} bytes, at most {MAX_EK_CHAIN} are read"))
    found: list[Certificate] = []
    fault, rest = None, area.lstrip(_PADDING)
    for number in range(1, _MAX_CERTIFICATES + 1):
        if not rest:
            return EkChain(tuple(found), fault)
        try:
            one, _ = DerReader(rest).whole(SEQUENCE)
        except EkCertificateUnreadable as exc:
            return EkChain(tuple(found), _fault(f"at certificate {number}: {exc.reason}"))
        try:
            found.append(load_certificate(one))
        except EkCertificateUnreadable as exc:
            fault = _fault(f"certificate {number}: {exc.reason}")
        rest = rest[len(one) :].lstrip(_PADDING)
    if rest:
        fault = _fault(f"more than {_MAX_CERTIFICATES} certificates")
    return EkChain(tuple(found), fault)


def _fault(why: str) -> EkChainUnreadable:
    return EkChainUnreadable(f"the chain that the TPM carries cannot be read: {why}")
