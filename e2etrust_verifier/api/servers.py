# SPDX-License-Identifier: Apache-2.0
"""``/v1/servers/{instance}``: how a server was started, why not, and fresh evidence of it."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from e2etrust_core import messages, wire
from e2etrust_verifier.api import answers
from e2etrust_verifier.api.access import Access, caller
from e2etrust_verifier.api.agents import Agents
from e2etrust_verifier.api.errors import Conflict, NotFound
from e2etrust_verifier.db import launches, refusals
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Launch, Refusal
from e2etrust_verifier.policies import servers as rules

#: A nonce and a credential; nothing larger is read.
MAX_ASK = 16 * 1024


@dataclass(frozen=True)
class Server:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response, instance: str) -> None:
        """Show the rows that belong to the caller; a server with none looks like no server."""
        caller(req)  # without a token nothing is read

        def mine(row: Launch | Refusal) -> bool:
            return self.access.allowed(req, rules.SHOW, row.project)

        granted = filter(mine, self.database.read(lambda s: launches.of_instance(s, instance)))
        refused = filter(mine, self.database.read(lambda s: refusals.of_instance(s, instance)))
        found = answers.Server(instance, [*map(_launch, granted)], [*map(_refusal, refused)])
        if not found.launches and not found.refusals:
            raise _no_launch()
        resp.media = wire.to_dict(found)


@dataclass(frozen=True)
class ServerEvidence:
    database: Database
    access: Access
    agents: Agents

    def on_post(self, req: falcon.Request, resp: falcon.Response, instance: str) -> None:
        caller(req)  # without a token nothing is read
        launch = self.database.read(lambda s: launches.current(s, instance))
        if launch is None or not self.access.allowed(req, rules.EVIDENCE, launch.project):
            raise _no_launch()
        evidence = self.agents.guest_evidence(launch.host, _ask(req, instance))
        if evidence.launch != launch.id or evidence.host != launch.host:
            raise Conflict(
                "the host answered for another launch of this server",
                code="LAUNCH_CHANGED",
                remedy="ask again: the server was being restarted",
            )
        resp.media = wire.to_dict(answers.Evidence(launch.record, evidence))


def _ask(req: falcon.Request, instance: str) -> messages.GuestAsk:
    """Return what is asked of the agent.  Raises InputError where the body is not that."""
    body = req.bounded_stream.read(MAX_ASK + 1)
    asked = wire.from_json(answers.EvidenceAsk, body, MAX_ASK)
    return messages.GuestAsk(instance, asked.nonce, asked.credential_blob, asked.encrypted_secret)


def _no_launch() -> NotFound:
    return NotFound(
        "nothing is known of such a server: it never started under attestation, or is not yours",
        code="NO_LAUNCH",
        remedy="look at its flavor (trust:trusted_host=trusted) and its project",
    )


def _launch(row: Launch) -> answers.Launch:
    return answers.Launch(row.id, row.host, row.state, row.granted_at.isoformat(), row.record)


def _refusal(row: Refusal) -> answers.RefusedStart:
    at = row.at.isoformat()
    return answers.RefusedStart(row.host, row.code, row.reason, row.remedy, at)
