# SPDX-License-Identifier: Apache-2.0
"""``/v1/policies``: which host policies there are, whether they count, and for how many hosts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import falcon

from e2etrust_core import wire
from e2etrust_core.appraisal.policy import selection_of
from e2etrust_core.appraisal.policy_schema import policy_schema
from e2etrust_verifier.api import answers
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.errors import NotFound
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.policies import host_policies as rules
from e2etrust_verifier.trust.policies import PolicyStore
from e2etrust_verifier.trust.policy_overview import Overview, PolicyStanding, overview


@dataclass(frozen=True)
class Policies:
    """All of them: a directory is no fleet."""

    database: Database
    access: Access
    store: PolicyStore

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.access.require(req, rules.LIST)
        found = _overview(self.database, self.store)
        there = found.at_workers
        policies = [_told(one) for one in found.policies]
        told = answers.Policies(policies, found.without, there.told, there.sets)
        resp.media = wire.to_dict(told)


@dataclass(frozen=True)
class Policy:
    """The first file that has a policy of that name."""

    database: Database
    access: Access
    store: PolicyStore

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.SHOW)
        for one in _overview(self.database, self.store).policies:
            if one.policy is not None and one.policy.name == name:
                resp.media = wire.to_dict(_told(one))
                return
        raise NotFound(
            "no readable policy has that name",
            code="POLICY_UNKNOWN",
            remedy="openstack attestation policy list shows what there is, and what is unreadable",
        )


class PolicySchema:
    """The JSON Schema of policies, for everybody."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = policy_schema()


def _overview(database: Database, store: PolicyStore) -> Overview:
    return database.read(lambda s: overview(s, store, datetime.now(UTC)))


def _told(one: PolicyStanding) -> answers.Policy:
    policy, fault = one.policy, one.fault
    told = answers.Policy(
        name="" if policy is None else policy.name,
        file=one.file,
        state=one.word,
        hosts_count=one.hosts,
        newest_version=one.newest,
        windows_close=[moment.isoformat() for moment in one.moments],
        code="" if fault is None else fault.code,
        reason="" if fault is None else fault.reason,
        remedy="" if fault is None else fault.remedy,
        workers=one.workers,
    )
    if policy is None:
        return told
    sections = {
        "pcrs": policy.pcrs,
        "events": policy.events,
        "ima": policy.ima,
        "mac": policy.mac,
        "device_mapper": policy.device_mapper,
        "tpm": policy.tpm,
        "observe": policy.observe,
    }
    return replace(
        told,
        version=policy.version,
        edition=policy.edition,
        fingerprint=policy.fingerprint,
        hosts=policy.hosts,
        asks=[name for name, section in sections.items() if section],
        quoted_pcrs=selection_of(policy),
        lease_seconds=policy.lease_seconds,
        recovery=policy.recovery,
        level=policy.level,
    )
