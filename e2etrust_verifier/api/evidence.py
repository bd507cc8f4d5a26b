# SPDX-License-Identifier: Apache-2.0
"""``/v1/hosts/{name}/evidence``: what a host sent, as it was appraised."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from e2etrust_core import wire
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_verifier.api import answers, paging
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.errors import NotFound
from e2etrust_verifier.db import evidence
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.policies import hosts as rules

#: Evidence with an IMA list and what surrounds it.
_LONGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class EvidenceList:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.EVIDENCE)
        found = self.database.read(lambda s: evidence.of_host(s, name))
        listed = [
            answers.EvidenceBrief(e.id, e.at.isoformat(), e.policy, e.fingerprint, e.trusted)
            for e in found
        ]
        resp.media = wire.to_dict(answers.EvidenceList(listed))


@dataclass(frozen=True)
class OneEvidence:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, number: int) -> None:
        self.access.require(req, rules.EVIDENCE)
        found = None
        if number <= paging.HIGHEST:
            found = self.database.read(lambda s: evidence.find(s, name, number))
        if found is None:
            raise NotFound(
                "no such evidence is recorded",
                code="EVIDENCE_UNKNOWN",
                remedy="openstack attestation host evidence list shows what there is",
            )
        resp.media = wire.to_dict(wire.from_json(RecordedAppraisal, found.record, _LONGEST))
