# SPDX-License-Identifier: Apache-2.0
"""Keylime's runtime policies (JSON, ``meta: version`` 1) as our ``ima`` section and its files.

What says the same here is taken over; what does not is left out and told, so that the result never
accepts more than Keylime's policy did.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from e2etrust_core.appraisal.allowlist_lines import allowlist_line
from e2etrust_core.appraisal.ima_allowlist import NAMED_BY_LENGTH
from e2etrust_core.appraisal.ima_proposal import ImaProposal
from e2etrust_core.appraisal.patterns import WILD
from e2etrust_core.appraisal.policy_ima import KERNEL_KEYRING
from e2etrust_core.errors import InputError
from e2etrust_core.evidence.ima_signature import KEY_ID, UNREADABLE

MAX_POLICY = 512 * 1024 * 1024
_VERSION = 1
#: Keylime fills it in itself, at every appraisal.
_AGGREGATE = "boot_aggregate"
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: A path, what else may follow it (Keylime's expressions are anchored at their beginning only).
_PLAIN_PATH = re.compile(
    r"\^?((?:[A-Za-z0-9/._ :@%,=~-]|\\[^A-Za-z0-9])+)(?P<below>\.\*|\(/\.\*\)\?|/\.\*)?(?P<end>\$)?"
)
_NAMED = 5


def read_keylime_policy(data: bytes, name: str) -> ImaProposal:
    """Return the ``ima`` section, the files ``NAME.sha256`` and ``NAME.pem`` that it names, and in
    words what was left out.

    :param data: the JSON document, not a signed envelope around it.
    :raises InputError: it is no runtime policy of version 1.
    """
    document = _document(data)
    words: list[str] = []
    section: dict[str, Any] = {"allow": [f"{name}.sha256"]}
    lines = list(_lines(document.get("digests"), words))
    files = {f"{name}.sha256": b"\n".join([b"# from a runtime policy of Keylime's", *lines, b""])}
    words.insert(0, f"{len(lines)} digests of files ({name}.sha256)")
    pem = _verification_keys(document.get("verification-keys"), words)
    if pem:
        files[f"{name}.pem"] = pem
        section["signed_by"] = [f"{name}.pem"]
    patterns = _patterns(document.get("excludes"), words)
    if patterns:
        section["exclude"] = patterns
    rules = _buffers(document, words)
    if rules:
        section["buffers"] = rules
    return ImaProposal({"ima": section}, files, words)


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError("the file is not JSON") from None
    if isinstance(document, dict) and "payload" in document:
        raise InputError(
            "the file is a signed envelope (DSSE)",
            remedy="check its signature with Keylime's tools, and import the policy in it",
        )
    meta = document.get("meta") if isinstance(document, dict) else None
    if not isinstance(meta, dict) or meta.get("version") != _VERSION:
        raise InputError("the file is no runtime policy of Keylime's, version 1")
    return document


def _lines(digests: object, words: list[str]) -> Iterator[bytes]:
    strange = 0
    for path, one in _listed(digests, "digests"):
        digest = _bytes(one)
        algorithm = NAMED_BY_LENGTH.get(2 * len(digest))
        if path == _AGGREGATE:
            continue  # held against the quoted PCRs here
        if algorithm is None or not path:
            strange += 1
            continue
        yield allowlist_line(algorithm, digest, path.encode("utf-8", "replace"))
    if strange:
        words.append(f"left out: {strange} digests of no hash known here, or without a path")


def _listed(value: object, which: str) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if not isinstance(value, dict):
        raise InputError(f"{which}: a mapping of names to lists of digests")
    for name, listed in value.items():
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise InputError(f"{which}: a mapping of names to lists of digests")
        yield from ((name, one) for one in listed)


def _bytes(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""


def _patterns(excludes: object, words: list[str]) -> list[str]:
    """Translate paths with everything below them; other expressions are for people to write."""
    if excludes is None:
        return []
    if not isinstance(excludes, list) or not all(isinstance(one, str) for one in excludes):
        raise InputError("excludes: a list of regular expressions")
    found, left = [], []
    for one in excludes:
        plain = _PLAIN_PATH.fullmatch(one)
        path = "" if plain is None else re.sub(r"\\(.)", r"\1", plain[1])
        # No pattern of ours says that a path has just a star.
        if plain is None or {*WILD} & {*path}:
            left.append(one)
            continue
        if plain["below"] in (".*", "/.*"):
            found.append(path + plain["below"].replace(".*", "*"))
        else:
            whole = plain["end"] and not plain["below"]
            found += [path] if whole else [path, f"{path}/*"]
    if left:
        words.append(
            f"left out: {len(left)} excludes that are no plain path, write patterns for them:"
            f" {', '.join(left[:_NAMED])}"
        )
    return found


def _buffers(document: dict[str, Any], words: list[str]) -> list[dict[str, Any]]:
    rules: dict[str, dict[str, Any]] = {}
    strange = 0
    for which in ("keyrings", "ima-buf"):
        for name, one in _listed(document.get(which), which):
            if not _SHA256.fullmatch(one.lower()):
                strange += 1
                continue
            rule = rules.setdefault(name, {"name": name, "digests": []})
            rule["digests"].append(one.lower())
            if which == "keyrings" and name.startswith(KERNEL_KEYRING):
                rule["verifies"] = True  # as Keylime takes them
    ima = document.get("ima")
    ima = ima if isinstance(ima, dict) else {}
    for name in _ignored(ima.get("ignored_keyrings")):
        if name == "*":
            words.append("left out: ignored_keyrings: '*', name the keyrings under buffers")
        else:
            rules[name] = {"name": name, "anything": True}
    if strange:
        words.append(f"left out: {strange} digests of keys or buffers that are no SHA-256")
    if ima.get("dm_policy") is not None:
        words.append("left out: dm_policy, write rules under device_mapper")
    return [rules[name] for name in sorted(rules)]


def _ignored(value: object) -> list[str]:
    if not isinstance(value, list):
        return []
    return [one for one in value if isinstance(one, str) and one]


def _verification_keys(value: object, words: list[str]) -> bytes:
    """A JSON text with base64 of public keys, and the identifiers that signatures name them by."""
    if not value:
        return b""
    try:
        keys: Any = json.loads(value) if isinstance(value, str) else value
        pairs = list(zip(keys["pubkeys"], keys["keyids"], strict=True))
    except (ValueError, TypeError, KeyError):
        raise InputError("verification-keys: a JSON text with pubkeys and keyids") from None
    found, strange = [], 0
    for encoded, identifier in pairs:
        pem = _key(encoded, identifier)
        strange += pem is None
        found.append(pem or b"")
    if strange:
        words.append(
            f"left out: {strange} verification-keys that cannot be read, or go by what only their"
            " certificate tells: give that certificate in signed_by"
        )
    return b"".join(found)


def _key(encoded: object, identifier: object) -> bytes | None:
    try:
        key = load_der_public_key(base64.b64decode(str(encoded), validate=True))
        computed = x509.SubjectKeyIdentifier.from_public_key(key).digest  # type: ignore[arg-type]
    except UNREADABLE:
        return None
    if int.from_bytes(computed[-KEY_ID:], "big") != identifier:
        return None
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
