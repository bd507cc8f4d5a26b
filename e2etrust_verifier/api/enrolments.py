# SPDX-License-Identifier: Apache-2.0
"""``/v1/enrolments``: which TPM and which keys hosts were enrolled with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import falcon

from e2etrust_core import wire
from e2etrust_core.appraisal.tpm_checks import maker_vouched_for
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.ek_manufacturer import manufacturer_text
from e2etrust_verifier.api import answers, paging
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.hosts import unknown_host
from e2etrust_verifier.db import hosts
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
        found = self.database.read(lambda s: hosts.page(s, after, limit))
        more = paging.next_link(req, found[-1].name) if len(found) == limit else []
        resp.media = wire.to_dict(answers.Enrolments([_told(host) for host in found], more))


@dataclass(frozen=True)
class Enrolment:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.SHOW)
        found = self.database.read(lambda s: hosts.find(s, name))
        if found is None:
            raise unknown_host()
        resp.media = wire.to_dict(_told(found))


def _told(host: Host) -> answers.Enrolment:
    return answers.Enrolment(
        host=host.name,
        suite=host.suite,
        enrolled_at=host.enrolled_at.isoformat(),
        ek_accepted_by=host.ek_accepted_by,
        manufacturer=_manufacturer(host),
        ek_sha256=hashlib.sha256(host.ek_public).hexdigest(),
        ak_name=host.ak_name.hex(),
    )


def _manufacturer(host: Host) -> str | None:
    try:
        return manufacturer_text(maker_vouched_for(host.ek_certificate, host.ek_accepted_by))
    except E2ETrustError:
        return None
