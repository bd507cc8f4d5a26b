# SPDX-License-Identifier: Apache-2.0
"""``/v1/enrolments``: which TPM and which keys hosts were enrolled with."""

from __future__ import annotations

from dataclasses import dataclass

import falcon
from sqlalchemy.orm import Session

from e2etrust_core.appraisal.tpm_checks import maker_vouched_for
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.ek_manufacturer import manufacturer_text
from e2etrust_core.evidence.tpm_structures import ek_sha256
from e2etrust_verifier.api import answers, paging
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.caching import tell
from e2etrust_verifier.api.hosts import unknown_host
from e2etrust_verifier.db import events, hosts
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Host
from e2etrust_verifier.policies import enrolments as rules


@dataclass(frozen=True)
class Enrolments:
    """By host name; ``?limit=`` and ``?marker=`` (a name)."""

    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.access.require(req, rules.LIST)
        limit, after = paging.limit(req), req.get_param("marker")

        def work(session: Session) -> list[answers.Enrolment]:
            listed = hosts.page(session, after, limit)
            refused = events.keys_refused(session, [host.name for host in listed])
            return [_told(host, refused) for host in listed]

        found = self.database.read(work)
        more = paging.next_link(req, found[-1].host) if len(found) == limit else []
        tell(req, resp, answers.Enrolments(found, more))


@dataclass(frozen=True)
class Enrolment:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.SHOW)

        def work(session: Session) -> answers.Enrolment | None:
            host = hosts.find(session, name)
            return None if host is None else _told(host, events.keys_refused(session, [name]))

        found = self.database.read(work)
        if found is None:
            raise unknown_host()
        tell(req, resp, found)


def _told(host: Host, refused: dict[str, list[str]]) -> answers.Enrolment:
    own = ek_sha256(host.ek_public)
    return answers.Enrolment(
        host=host.name,
        suite=host.suite,
        enrolled_at=host.enrolled_at.isoformat(),
        ek_accepted_by=host.ek_accepted_by,
        manufacturer=_manufacturer(host),
        ek_sha256=own,
        ak_name=host.ak_name.hex(),
        refused_ek_sha256=[key for key in refused.get(host.name, []) if key != own],
    )


def _manufacturer(host: Host) -> str | None:
    try:
        return manufacturer_text(maker_vouched_for(host.ek_certificate, host.ek_accepted_by))
    except E2ETrustError:
        return None
