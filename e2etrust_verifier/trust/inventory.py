# SPDX-License-Identifier: Apache-2.0
"""Which TPM an operator expects under which host name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from e2etrust_core.errors import InputError
from e2etrust_core.evidence.tpm_structures import ek_sha256
from e2etrust_verifier.db import events, hosts, pins
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import EkPin
from e2etrust_verifier.trust import operator
from e2etrust_verifier.trust.errors import HostKnown, HostNotExpected
from e2etrust_verifier.trust.names import check_host_name

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 16
_NOTHING = "no endorsement key is expected of such a host"


@dataclass(frozen=True, slots=True)
class Expected:
    """``ek_sha256``: SHA-256 (hex) of the TPMT_PUBLIC of each EK that may enrol under the name."""

    host: str
    ek_sha256: list[str]
    since: datetime
    by: str
    enrolled: bool


#: Is told what is expected now (None: nothing), before it is changed; ends the change by raising.
Provided = Callable[[Expected | None], None]


def expect(
    database: Database,
    name: str,
    digests: Collection[str],
    now: datetime,
    by: str = "",
    *,
    replace: bool = False,
    provided: Provided | None = None,
) -> Expected:
    """Let the TPMs with these endorsement keys, and no others, enrol as *name*.

    Nobody has to vouch for them any more.  An enrolment that is under way is held against what
    counts when it ends.

    :param digests: SHA-256 (hex) of each EK's TPMT_PUBLIC.
    :param by: who decides, for the events.
    :param replace: forget the keys that the name belongs to, where they are of another TPM.
    :raises HostNameWrong, InputError: no host name, or no digests.
    :raises HostKnown: the name belongs to another TPM, and *replace* is not said.
    """
    check_host_name(name)
    wanted = _digests(digests)

    def work(session: Session) -> Expected:
        _hold_against(session, name, provided)
        known = hosts.find(session, name)
        if known is not None and ek_sha256(known.ek_public) not in wanted:
            if not replace:
                raise HostKnown(
                    f"host {name} is enrolled with another TPM",
                    remedy="find out which machine it is; if its TPM was really replaced:"
                    " openstack attestation host enrol --replace",
                )
            operator.forget(session, name, now, by)
        pins.put(session, name, wanted, by, now)
        told = f"{operator.who(by)} expects {len(wanted)} endorsement key(s)"
        events.add(session, "host-expected", told, now=now, host=name)
        return _expected(session, pins.of_host(session, name))

    return database.write(work)


def unexpect(
    database: Database,
    name: str,
    now: datetime,
    by: str = "",
    *,
    provided: Provided | None = None,
) -> None:
    """Expect no particular TPM of *name* any more: a maker has to vouch for it again.

    A host that is enrolled stays so.

    :raises HostNotExpected: nothing was expected of it.
    """

    def work(session: Session) -> None:
        _hold_against(session, name, provided)
        if not pins.remove(session, name):
            raise HostNotExpected(_NOTHING)
        told = f"{operator.who(by)} expects no endorsement key any more"
        events.add(session, "host-unexpected", told, now=now, host=name)

    database.write(work)


def of_host(database: Database, name: str) -> Expected:
    """Return what is expected of host *name*.  Raises HostNotExpected."""

    def work(session: Session) -> Expected:
        if found := pins.of_host(session, name):
            return _expected(session, found)
        raise HostNotExpected(_NOTHING)

    return database.read(work)


def listed(database: Database, after: str | None, limit: int) -> list[Expected]:
    """Return what is expected of at most *limit* hosts behind the name *after*."""
    return database.read(lambda s: [_expected(s, one) for one in pins.page(s, after, limit)])


def _hold_against(session: Session, name: str, provided: Provided | None) -> None:
    """Nobody changes what *provided* has seen until the transaction ends."""
    if provided is not None:
        found = pins.of_host(session, name, lock=True)
        provided(_expected(session, found) if found else None)


def _expected(session: Session, found: list[EkPin]) -> Expected:
    first = found[0]
    enrolled = hosts.find(session, first.host) is not None
    digests = [pin.ek_sha256 for pin in found]
    return Expected(first.host, digests, first.pinned_at, first.pinned_by, enrolled)


def _digests(digests: Collection[str]) -> list[str]:
    wanted = sorted({digest.lower() for digest in digests})
    if not 1 <= len(wanted) <= _MOST or not all(_SHA256.fullmatch(one) for one in wanted):
        raise InputError(
            f"ek_sha256 is 1 to {_MOST} SHA-256 digests of 64 hexadecimal digits",
            remedy="on the host: e2etrust-agent --show-identity",
        )
    return wanted
