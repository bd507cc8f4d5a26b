# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation server show|verify``."""

from __future__ import annotations

import argparse
import json
import logging
import re
from pathlib import Path
from typing import Any, ClassVar

import openstack.exceptions
from osc_lib import exceptions as osc_exc
from osc_lib.command import command

from e2etrust_client.errors import ClientError
from e2etrust_client.model import Launch, RefusedStart
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.osc.v1.fields import TellsFields
from e2etrust_client.verify_server import verify

LOG = logging.getLogger(__name__)


def _server_argument(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("server", metavar="<server>", help="Server (name or ID)")
    return parser


def find_server(client_manager: Any, name_or_id: str) -> str:
    """Return the id of the server.

    :raises ClientError: Nova knows none, or several, or does not answer.
    """
    try:
        return client_manager.compute.find_server(name_or_id, ignore_missing=False).id
    except openstack.exceptions.NotFoundException:
        raise ClientError(f"there is no server {name_or_id}", code="SERVER_UNKNOWN") from None
    except openstack.exceptions.DuplicateResource:
        raise ClientError(
            f"several servers are called {name_or_id}",
            code="SERVER_AMBIGUOUS",
            remedy="give the id of the one that you mean",
        ) from None
    except (openstack.exceptions.SDKException, AttributeError) as exc:
        # Where no version of the API answers, openstacksdk has a proxy without find_server.
        raise ClientError(
            "Nova does not tell which server that is",
            code="COMPUTE_DOWN",
            remedy="check `openstack catalog show compute` and that the service runs",
        ) from exc


class ShowServer(TellsFields, command.ShowOne):
    """Show how a server was started, or why its last start was refused"""

    FIELDS: ClassVar = {
        "server": "id of the server",
        "launch": "id of its newest launch, null without one",
        "host": "compute host of that launch",
        "launched_at": "when that was granted (ISO 8601)",
        "launch_state": "granted, started or ended",
        "last_refusal": "code and reason of the last refused start, null without one",
        "refused_at": "when that was (ISO 8601)",
        "refused_on": "compute host of that start",
        "next_step": "what to do about it",
        "refusals": "how many refused starts are on record",
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        return _server_argument(super().get_parser(prog_name))

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        server = find_server(self.app.client_manager, parsed_args.server)
        trust = client_of(self.app.client_manager).server(server)
        launch = trust.launches[0] if trust.launches else None
        refused = trust.refusals[0] if trust.refusals else None
        if launch is None and refused is None:
            raise ClientError(
                "this server was never started under attestation",
                code="NO_LAUNCH",
                remedy="give it a flavor with trust:trusted_host=trusted",
            )
        shown = (*_launch_fields(launch), *_refusal_fields(refused))
        return tuple(self.FIELDS), (server, *shown, len(trust.refusals))


def _launch_fields(launch: Launch | None) -> tuple[str | None, ...]:
    if launch is None:
        return (None,) * 4
    return launch.id, launch.host, launch.at, launch.state


def _refusal_fields(refused: RefusedStart | None) -> tuple[str | None, ...]:
    if refused is None:
        return (None,) * 4
    return f"{refused.code}: {refused.reason}", refused.at, refused.host, refused.remedy


class VerifyServer(TellsFields, command.Lister):
    """Verify a server from evidence: its host, its launch, its vTPM

    Every row is recomputed here from quotes and logs.  Exit status 1 unless all hold.
    """

    FIELDS: ClassVar = {
        "Check": "name of the check",
        "Outcome": "pass or fail",
        "Reason": "what was found",
        "Next step": "what to do where it failed",
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = _server_argument(super().get_parser(prog_name))
        parser.add_argument(
            "--jwks",
            metavar="<file>",
            help="Key set of the verifier, known from elsewhere (default: ask the service)",
        )
        parser.add_argument(
            "--image-header",
            metavar="<sha256>",
            type=_digest,
            help="header_digest of the sealed image that it must run from (sealed image show)",
        )
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        server = find_server(self.app.client_manager, parsed_args.server)
        jwks = _read_jwks(parsed_args.jwks) if parsed_args.jwks else None
        client = client_of(self.app.client_manager)
        found = verify(client, server, jwks, parsed_args.image_header)
        self._trusted = found.verdict.trusted
        LOG.info("launch %s on %s", found.record.jti, found.record.host)
        return tuple(self.FIELDS), [
            (c.check, c.outcome, c.reason, c.remedy) for c in found.verdict.checks
        ]

    def run(self, parsed_args: argparse.Namespace) -> int:
        super().run(parsed_args)
        if not self._trusted:
            raise osc_exc.CommandError("this server could not be verified: see the failed rows")
        return 0


def _digest(text: str) -> bytes:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError("not a SHA-256 in hexadecimal digits")
    return bytes.fromhex(text)


def _read_jwks(path: str) -> dict[str, Any]:
    try:
        keys = json.loads(Path(path).read_text())
    except (OSError, ValueError) as exc:
        raise _no_key_set(f"{path}: not a key set: {exc}") from None
    if not isinstance(keys, dict):
        raise _no_key_set(f"{path}: not a key set")
    return keys


def _no_key_set(reason: str) -> ClientError:
    return ClientError(
        reason, code="JWKS_UNREADABLE", remedy="give the file that the operator's /v1/jwks is"
    )
