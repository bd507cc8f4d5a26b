# SPDX-License-Identifier: Apache-2.0
"""What may stand as a name in records and logs (CVE-2022-23949)."""

from __future__ import annotations

import re

from e2etrust_core.errors import InputError
from e2etrust_verifier.trust.errors import HostNameWrong

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def check_host_name(name: str) -> str:
    """Return *name*.  Raises HostNameWrong where it cannot be a host's."""
    if not _HOST.fullmatch(name):
        raise HostNameWrong("that is no name for a host")
    return name


def check_uuid(value: str, what: str) -> str:
    """Return *value*, a UUID in lower case.  Raises InputError; *what* names the field."""
    if not _UUID.fullmatch(value):
        raise InputError(f"{what} is not a UUID")
    return value


def check_id(value: str | None, what: str) -> str | None:
    """Return *value*, an id of OpenStack's or None.  Raises InputError."""
    if value is not None and not _ID.fullmatch(value):
        raise InputError(f"{what} is not an id")
    return value


def check_code(value: str) -> str:
    """Return *value*, a refusal's code.  Raises InputError."""
    if not _CODE.fullmatch(value):
        raise InputError("the refusal's code is not one upper-case word")
    return value
