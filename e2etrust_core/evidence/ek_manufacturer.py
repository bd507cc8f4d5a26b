# SPDX-License-Identifier: Apache-2.0
"""Who made a TPM, as its EK certificate tells.

TCG EK Credential Profile 2.5, 3.1.2: tpmManufacturer (2.23.133.2.1) in the directory name of
subjectAltName, ``id:`` and TPM_PT_MANUFACTURER in 8 hexadecimal digits; the values are those of the
TCG TPM Vendor ID Registry.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from e2etrust_core.evidence.der import OID, SET, DerReader, dotted
from e2etrust_core.evidence.ek_certificate import read_ek_certificate

_MANUFACTURER = "2.23.133.2.1"
#: GeneralName, directoryName (RFC 5280, 4.2.1.6).
_DIRECTORY_NAME = 0xA4
_ID = re.compile(r"id:([0-9A-Fa-f]{8})")


def manufacturer_of(certificate: bytes) -> tuple[bytes | None, str]:
    """Return the manufacturer, without what pads it to four bytes, and the certificate's SHA-256
    (hex).  None: the certificate names none, or several.

    Nothing is verified here.

    :param certificate: DER; what pads it in a TPM's NV area is cut off.
    :raises EkCertificateUnreadable: it is none.
    """
    leaf = read_ek_certificate(certificate)
    fingerprint = hashlib.sha256(leaf.der).hexdigest()
    told = set(_told(leaf.alternative_names)) if leaf.alternative_names else set()
    if len(told) != 1 or not _ID.fullmatch(one := told.pop()):
        return None, fingerprint
    return manufacturer_bytes(one), fingerprint


def _told(names: bytes) -> Iterator[str]:
    reader = DerReader(names).inside()
    while reader.more():
        kind = reader.tag()
        body = reader.take(kind)
        if kind == _DIRECTORY_NAME:
            yield from _in_directory_name(DerReader(body).inside())


def _in_directory_name(name: DerReader) -> Iterator[str]:
    while name.more():
        attributes = name.inside(SET)
        while attributes.more():
            attribute = attributes.inside()
            oid, text = dotted(attribute.take(OID)), attribute.take(attribute.tag())
            if oid == _MANUFACTURER:
                yield text.decode("latin-1")


def manufacturer_bytes(text: str) -> bytes:
    """Return ``id:494E5443`` or ``INTC`` as the bytes ``INTC``, without zeros and spaces behind."""
    found = _ID.fullmatch(text)
    value = bytes.fromhex(found[1]) if found else text.encode("ascii")
    return value.rstrip(b"\0 ")


def manufacturer_text(maker: bytes) -> str:
    """Return a manufacturer for people: its letters, or ``id:`` and digits where there are none."""
    text = maker.decode("ascii", "replace")
    if re.fullmatch(r"[A-Za-z0-9 ]+", text):
        return text
    return f"id:{maker.ljust(4, bytes(1)).hex().upper()}"
