# SPDX-License-Identifier: Apache-2.0
"""What can go wrong on the tenant's side."""

from __future__ import annotations

from e2etrust_core.errors import E2ETrustError


class ClientError(E2ETrustError):
    """A request could not be carried out."""

    code = "CLIENT_ERROR"
    remedy = "try again; if it stays so, tell the operator"


class FileError(ClientError):
    """A file that the user named cannot be read or written, or is not what it has to be."""

    code = "FILE_UNUSABLE"
    remedy = "name another file, or see who may read and write it"


class ServiceRefusal(ClientError):
    """The service refused; code, reason and remedy are its own."""


class RecordError(ClientError):
    """A launch record is not signed by the verifier, or cannot be read."""

    code = "RECORD_INVALID"
    remedy = "ask the operator which key the verifier signs with, and give it with --jwks FILE"


class ResultError(ClientError):
    """An attestation result is not signed by the verifier, ran out, or is another host's."""

    code = "RESULT_INVALID"
    remedy = "do not rely on it; ask the operator which key the verifier signs with"
