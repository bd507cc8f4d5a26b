# SPDX-License-Identifier: Apache-2.0
"""The LUKS2 token of type `e2etrust`: what a sealed image says of itself.

A LUKS2 header is protected by checksums only: anyone can write another map or another root and
fix them. So the token holds a seal, an HMAC over the whole JSON document under a key that is
derived from the volume key: who does not have the key cannot alter the header unnoticed.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from e2etrust_core import wire
from e2etrust_core.sealed import luks2_json
from e2etrust_core.sealed.errors import HeaderForgedError, KeyWrongError, TokenForeignError

TYPE = "e2etrust"
VERSION = 1
LAYOUTS = ("full", "main")
_SEAL_CONTEXT = b"E2ETrust sealed image header v1"
_HEX_256 = re.compile(r"[0-9a-f]{64}\Z")
_KEY_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


@dataclass(frozen=True)
class Token:
    """Field by field what stands in the header; sizes and offsets in bytes, hashes in hex."""

    key_id: str
    layout: str
    disk_size: int
    leaf_size: int
    hash_offset: int
    hash_size: int
    root: str
    created: str
    seal: str
    version: int = VERSION

    def encode(self) -> dict[str, Any]:
        """As a LUKS2 token object."""
        return {"type": TYPE, "keyslots": [], **dataclasses.asdict(self)}


def find(metadata: luks2_json.Metadata) -> Token:
    """The one token of ours in a header.

    :raises TokenForeignError: there is none, more than one, or it is not valid.
    """
    keys = [key for key, kind in metadata.token_types if kind == TYPE]
    if len(keys) != 1 or len(metadata.token_types) != 1:
        raise TokenForeignError("the header does not hold exactly one token, of type e2etrust")
    raw = dict(metadata.document["tokens"][keys[0]])
    names = {field.name for field in dataclasses.fields(Token)}
    if set(raw) != names | {"type", "keyslots"}:
        raise TokenForeignError("the e2etrust token has not exactly the fields it should have")
    try:
        token = wire.from_dict(Token, {name: raw[name] for name in names})
    except wire.InputError as error:
        raise TokenForeignError(f"the e2etrust token is malformed: {error.reason}") from None
    _check(token)
    return token


def _check(token: Token) -> None:
    problem = ""
    if token.version != VERSION:
        problem = "its version is not known here"
    elif token.layout not in LAYOUTS:
        problem = "its layout is unknown"
    elif not _KEY_ID.match(token.key_id):
        problem = "its key id is not a UUID"
    elif not (_HEX_256.match(token.root) and _HEX_256.match(token.seal)):
        problem = "its root or seal is not 256 bits in hex"
    elif token.leaf_size not in (4096 << shift for shift in range(9)):
        problem = "its leaf size is not a power of two from 4 KiB to 1 MiB"
    else:
        try:
            datetime.fromisoformat(token.created)
        except ValueError:
            problem = "its date is not one"
    if problem:
        raise TokenForeignError(f"the e2etrust token is malformed: {problem}")


def volume_digest(digest: luks2_json.Digest, key: bytes) -> bytes:
    """What the LUKS2 digest of a volume key must be (PBKDF2, RFC 8018).

    :raises TokenForeignError: the digest is of a kind that is not ours.
    """
    known = (digest.kind, digest.hash, len(digest.value)) == ("pbkdf2", "sha256", 32)
    if not known or digest.iterations > 1_000_000:
        raise TokenForeignError("the header's key digest is not a PBKDF2 over SHA-256 of ours")
    return hashlib.pbkdf2_hmac("sha256", key, digest.salt, digest.iterations, len(digest.value))


def seal_of(document: luks2_json.Object, key: bytes) -> str:
    """The seal over a JSON document, in hex; the token's own seal counts as empty."""
    open_document = copy.deepcopy(document)
    for token in open_document["tokens"].values():
        token["seal"] = ""
    seal_key = hmac.digest(key, _SEAL_CONTEXT, "sha256")
    return hmac.new(seal_key, wire.canonical(open_document), "sha256").hexdigest()


def check_key(metadata: luks2_json.Metadata, token: Token, key: bytes) -> None:
    """
    :raises KeyWrongError: the key is not the volume key of this header.
    :raises HeaderForgedError: it is, but the header was altered without it.
    """
    (digest,) = metadata.digests
    if len(key) != 32 or not hmac.compare_digest(volume_digest(digest, key), digest.value):
        raise KeyWrongError("this key does not open the image")
    try:
        sealed = hmac.compare_digest(seal_of(metadata.document, key), token.seal)
    except (wire.InputError, RecursionError):
        sealed = False  # half a character, or depth without a bottom: we write neither
    if not sealed:
        raise HeaderForgedError("the image's header was altered after it was sealed")
