# SPDX-License-Identifier: Apache-2.0
"""The verifier's answers, signed for whoever asked: nobody else answers in its place.

Whoever can write to the message bus can send an answer.  So an asker that was told beforehand
which keys the verifier signs with (a JWK set, "pinned") says in the RPC's context that it wants
the answer signed, over a nonce of its own, the method, all of what it asked, and the answer.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2etrust_core import jws, wire
from e2etrust_core.errors import E2ETrustError, InputError

#: In an RPC's context: the answer is wanted signed (:class:`Wanted`).
SIGN_FOR = "sign_for"
#: The ``typ`` of a signed answer: what else the verifier signs is none.
KIND = "e2etrust-answer+jwt"
#: In an answer: that it is signed (JWS, compact form).
SIGNED = "signed"

_NONCE_SIZE = 16
_LONGEST_KEY_SET = 64 * 1024


class VerifierKeysError(E2ETrustError):
    """The verifier's pinned keys cannot be read; without them no answer is believed."""

    code = "VERIFIER_KEYS_UNREADABLE"
    remedy = "write the output of e2etrust-manage key jwks to the file that verifier_keys names"


class AnswerUnsignedError(E2ETrustError):
    """An answer in the verifier's name is not signed, and its keys are pinned."""

    code = "ANSWER_UNSIGNED"
    remedy = (
        "upgrade the verifier before its hosts; if it is, find out who else may write to the"
        " message bus"
    )


class AnswerForgedError(E2ETrustError):
    """An answer is not signed by a pinned key of the verifier's, or answers something else."""

    code = "ANSWER_FORGED"
    remedy = (
        "if the verifier has a new key, write e2etrust-manage key jwks to the file that"
        " verifier_keys names; else find out who else may write to the message bus"
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """``nonce`` is drawn by the asker for this one call; ``algorithm`` is a name of JOSE's."""

    nonce: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Claims of a signed answer: ``request`` is the SHA-256 of the canonical request, ``reply`` a
    :class:`~e2etrust_core.messages.Reply` as plain values."""

    nonce: str
    method: str
    request: bytes
    reply: dict[str, Any]


class PinnedKeys:
    """The keys by which the verifier's answers are known; read anew for each question.

    :param path: a file with a JWK set; several keys while one takes the place of another.
    :param chinese: an SM2 signature is asked for where the set has a key for it; else it is
        where the set has no other.
    """

    def __init__(self, path: Path, *, chinese: bool = False) -> None:
        self._path = path
        self._chinese = chinese

    def question(self, method: str, request: dict[str, Any]) -> Question:
        """Return a question about to be asked.

        :raises VerifierKeysError: the keys cannot be read.
        """
        keys = read_key_set(self._path)
        curves = {key.get("crv") == jws.SM2_CURVE for key in keys["keys"]}
        sm2 = True in curves and (self._chinese or False not in curves)
        wanted = Wanted(secrets.token_hex(_NONCE_SIZE), jws.SM2_ALGORITHM if sm2 else jws.ES256)
        return Question(wanted, method, digest_of_request(request), keys)


@dataclass(frozen=True, slots=True)
class Question:
    """One call, and all that its answer must be signed over."""

    wanted: Wanted
    method: str
    request: bytes
    keys: dict[str, Any]

    def context(self) -> dict[str, Any]:
        """Return what goes into the RPC's context."""
        return {SIGN_FOR: wire.to_dict(self.wanted)}

    def reply(self, answer: Any) -> dict[str, Any]:
        """Return the reply in *answer*.

        :raises AnswerUnsignedError: it is not signed.
        :raises AnswerForgedError: by another key, altered, or of another question.
        """
        token = answer.get(SIGNED) if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise AnswerUnsignedError(f"the answer to {self.method} is not signed")
        try:
            payload = jws.payload_of(token, self.keys, [self.wanted.algorithm], KIND)
            found = wire.from_json(Answer, payload)
        except InputError as exc:
            raise AnswerForgedError(
                f"the answer to {self.method} is not the verifier's: {exc.reason}"
            ) from None
        if found.request != self.request or (found.nonce, found.method) != (
            self.wanted.nonce,
            self.method,
        ):
            raise AnswerForgedError(f"the answer to {self.method} was signed for another question")
        return found.reply


def digest_of_request(request: Any) -> bytes:
    """Return the SHA-256 of a request as it travels (plain JSON values)."""
    return hashlib.sha256(wire.canonical(request)).digest()


def wanted_of(context: dict[str, Any]) -> Wanted | None:
    """Return how an answer is wanted signed; None where it is not, or where that is nonsense."""
    try:
        return wire.from_dict(Wanted, context.get(SIGN_FOR))
    except InputError:
        return None


def read_key_set(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the JWK set in a file.

    :raises VerifierKeysError: it cannot be read, is none, or names no key.
    """
    try:
        found = wire.from_json(dict[str, list[dict[str, Any]]], path.read_bytes(), _LONGEST_KEY_SET)
    except OSError as exc:
        raise VerifierKeysError(f"{path} cannot be read: {exc.strerror}") from None
    except InputError:
        raise VerifierKeysError(f"{path} is no JWK set") from None
    if not found.get("keys"):
        raise VerifierKeysError(f"{path} names no key")
    return found
