# SPDX-License-Identifier: Apache-2.0
"""Keys that a host's kernel took into its keyrings, as the host's IMA list tells them.

Linux security/integrity/ima/ima_asymmetric_keys.c: what a key was made of, mostly a DER
certificate, is measured under the name of its keyring.  Whether such a key checks signatures is for
the policy to say; it does so for files behind it in the list of that very host, and of no other.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.ima_fields import ImaFields
from e2etrust_core.evidence.ima_signature import (
    KEY_ID,
    UNREADABLE,
    Keyring,
    certified_key,
)
from e2etrust_core.evidence.public_keys import PublicKey, decode_spki, encode_spki

#: Keys that are taken of one host: what it keeps for the next attestation stays small.
MAX_MEASURED_KEYS = 32
#: Bytes of a SubjectPublicKeyInfo: RSA of 16384 bits has 2086.
_MAX_INFO = 2100


class MeasuredKeys:
    """The keys of one host, from its boot on.

    :param kept: what :attr:`kept` told after an earlier part of the list.
    """

    def __init__(self, kept: Sequence[bytes] = ()) -> None:
        self._keys: dict[bytes, list[PublicKey]] = {}
        self.kept: list[bytes] = []
        for one in kept:
            self._take(one)

    def add(self, buffer: bytes) -> bool:
        """Take the key of a measured certificate (DER).

        :return: whether there was one to take: the kernel also takes keys in other forms, and
            kinds that check nothing here.
        """
        try:
            identifier, key = certified_key(x509.load_der_x509_certificate(buffer))
        except (*UNREADABLE, PolicyError):
            return False
        info = encode_spki(key)
        if len(info) > _MAX_INFO:
            return False
        return self._take(identifier[-KEY_ID:].rjust(KEY_ID, b"\0") + info)

    def signed(self, fields: ImaFields) -> bool:
        """Whether one of the keys signed the file digest of *fields*."""
        return Keyring(self._keys).signed(fields)

    def _take(self, kept: bytes) -> bool:
        if kept in self.kept:
            return True
        if len(self.kept) >= MAX_MEASURED_KEYS:
            return False
        self._keys.setdefault(kept[:KEY_ID], []).append(decode_spki(kept[KEY_ID:]))
        self.kept.append(kept)
        return True
