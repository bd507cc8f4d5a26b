# SPDX-License-Identifier: Apache-2.0
"""Sessions that hide what crosses the TPM's bus (TPM 2.0 Library Part 1, 19.6 and 21).

A session is salted to a key of the TPM: only who holds that key's private part knows the
session's keys.  An interposer that shows a key of its own is caught, for the caller says which
Name the key must have; one that alters an answer is caught by the session's HMAC.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from contextlib import contextmanager

from tpm2_pytss import ESAPI, ESYS_TR, TPM2_ALG, TPM2_SE, TPMA_SESSION, TPMT_SYM_DEF

from e2etrust_core.tpm.device import flushed
from e2etrust_core.tpm.errors import SaltKeyForeign


@contextmanager
def policy_session(
    esys: ESAPI, salt_key: ESYS_TR = ESYS_TR.NONE, name: bytes = b""
) -> Iterator[ESYS_TR]:
    """Yield a SHA-256 policy session that lasts until the end of the block.

    :param salt_key: a loaded storage key; with it the session also encrypts parameters
        (AES-128-CFB) in both directions under a salt that only this TPM can know.
    :param name: the Name that *salt_key* must have, as for :func:`encrypted_session`.
    :raises SaltKeyForeign: it has another.
    """
    salted = salt_key != ESYS_TR.NONE
    if salted:
        check_name(esys, salt_key, name)
    handle = esys.start_auth_session(
        salt_key,
        ESYS_TR.NONE,
        TPM2_SE.POLICY,
        "aes128cfb" if salted else TPMT_SYM_DEF(algorithm=TPM2_ALG.NULL),
        TPM2_ALG.SHA256,
    )
    with flushed(esys, handle):
        esys.trsess_set_attributes(handle, TPMA_SESSION.CONTINUESESSION, 0xFF)
        yield handle


@contextmanager
def encrypted_session(esys: ESAPI, salt_key: ESYS_TR, name: bytes) -> Iterator[ESYS_TR]:
    """Yield an HMAC session that encrypts the first parameter both ways (AES-128-CFB).

    It goes beside the session that authorises a command, or authorises it where the object's own
    authorisation value is empty.

    :param salt_key: a loaded storage key, RSA or P-256: tpm2-tss makes no salt for an SM2 key.
    :param name: the Name that the key must have, from a source that is no bus: an enrolment, a
        certificate.
    :raises SaltKeyForeign: the key at hand has another.
    """
    check_name(esys, salt_key, name)
    handle = esys.start_auth_session(
        salt_key, ESYS_TR.NONE, TPM2_SE.HMAC, "aes128cfb", TPM2_ALG.SHA256
    )
    with flushed(esys, handle):
        wanted = TPMA_SESSION.CONTINUESESSION | TPMA_SESSION.DECRYPT | TPMA_SESSION.ENCRYPT
        esys.trsess_set_attributes(handle, wanted, 0xFF)
        yield handle


def check_name(esys: ESAPI, handle: ESYS_TR, name: bytes) -> None:
    """:raises SaltKeyForeign: the object behind *handle* has another Name.

    The TSS calculates the Name itself from the public area that it was shown.
    """
    if not hmac.compare_digest(bytes(esys.tr_get_name(handle)), name):
        raise SaltKeyForeign("the TPM shows another key than the one that it is known by")
