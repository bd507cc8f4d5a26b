# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-manage``: what an operator does beside the REST API, on the verifier's machine."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_db import exception as db_exc

from e2etrust_core.appraisal.policy_cautions import cautions
from e2etrust_core.appraisal.policy_schema import policy_schema
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import purging
from e2etrust_verifier.db import events, migration
from e2etrust_verifier.db import policy_versions as version_rows
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.errors import told
from e2etrust_verifier.placement import PlacementError, Traits
from e2etrust_verifier.service_clients import adapter_of
from e2etrust_verifier.trust import operator, policy_versions, records, sm2_records
from e2etrust_verifier.trust.policies import read_policy
from e2etrust_verifier.trust.signing_keys import SigningKeyError
from e2etrust_verifier.trust.surroundings import utc_now

Rows = list[dict[str, Any]]
Command = Callable[[cfg.ConfigOpts, argparse.Namespace], Rows]


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        conf = configuration.load(arguments.config_file)
        rows = arguments.run(conf, arguments)
    except E2ETrustError as exc:
        _tell(exc)
        return int(arguments.failed)
    except db_exc.DBError as exc:
        _tell(told(exc))
        return int(arguments.failed)
    if arguments.format == "document":
        print(json.dumps(rows[0], indent=1))
    else:
        as_json = arguments.format == "json"
        print(json.dumps(rows, indent=1) + "\n" if as_json else table(rows), end="")
    return int(arguments.status)


def _tell(exc: E2ETrustError) -> None:
    remedy = f"\nnext: {exc.remedy}" if exc.remedy else ""
    print(f"e2etrust-manage: {exc}{remedy}", file=sys.stderr)


def table(rows: Rows) -> str:
    """Return *rows* as aligned text with a heading."""
    if not rows:
        return ""
    lines = [list(rows[0])] + [[_cell(v) for v in row.values()] for row in rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="e2etrust-manage", description=__doc__)
    parser.add_argument("--config-file", action="append", help="default: verifier.conf")
    nouns = parser.add_subparsers(required=True, metavar="COMMAND")
    database = nouns.add_parser("db", help="the database").add_subparsers(required=True)
    _add(database, "sync", _db_sync, "create the schema or bring it up to this release")
    _add(database, "version", _db_version, "show the schema's version")
    text = "delete history: old events, verdicts, evidence, refused and ended launches"
    purging.add_arguments(_add(database, "purge", purging.run, text))
    key = nouns.add_parser("key", help="the signing key").add_subparsers(required=True)
    create = _add(key, "create", _key_create, "make the key that signs launch records")
    create.add_argument(
        "--sm2", action="store_true", help="the key for results of Chinese suites instead"
    )
    jwks = _add(key, "jwks", _key_jwks, "write the public keys, for hosts and schedulers to pin")
    jwks.add_argument(
        "--retired", action="store_true", help="with retired_keys, while workers sign with one yet"
    )
    policy = nouns.add_parser("policy", help="host policies").add_subparsers(required=True)
    _add(policy, "check", _policy_check, "check a policy file", "file")
    _add(policy, "accept", _policy_accept, "let a policy count that is older or altered", "file")
    _add(policy, "list", _policy_list, "list policies and their versions")
    _add(policy, "schema", _policy_schema, "write the JSON Schema of policies")
    hosts = nouns.add_parser("host", help="enrolled hosts").add_subparsers(required=True)
    _add(hosts, "list", _host_list, "list all hosts")
    _add(hosts, "show", _host_show, "show one host and its last checks", "host")
    approve = _add(hosts, "approve", _host_approve, "let a held host be trusted again", "host")
    approve.add_argument("--ek-sha256", help="only where this endorsement key has the name")
    _add(hosts, "revoke", _host_revoke, "end a host's lease and hold it", "host")
    _add(hosts, "remove", _host_remove, "forget a host's keys: it can enrol anew", "host")
    placement = nouns.add_parser("placement", help="our traits").add_subparsers(required=True)
    text = "take our traits off every resource provider, before e2etrust is taken off the cloud"
    _add(placement, "clean", _placement_clean, text)
    event = nouns.add_parser("event", help="what happened").add_subparsers(required=True)
    listing = _add(event, "list", _event_list, "list events, newest first")
    listing.add_argument("--limit", type=int, default=50)
    listing.add_argument("--kind")
    listing.add_argument("--host")
    return parser


def _add(
    commands: Any, name: str, run: Command, text: str, *positional: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("-f", "--format", choices=("table", "json"), default="table")
    for argument in positional:
        parser.add_argument(argument)
    parser.set_defaults(run=run, status=0, failed=1)
    return parser


def _db_sync(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> Rows:
    return [{"version": migration.sync(Database(conf))}]


def _db_version(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> Rows:
    return [{"version": migration.version(Database(conf))}]


def _key_create(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    if arguments.sm2:
        return [_sm2_key_create(conf.verifier.sm2_signing_key)]
    records.create_key(Path(conf.verifier.signing_key))
    (key,) = records.published_keys(conf)["keys"][:1]
    return [{"file": conf.verifier.signing_key, "kid": key["kid"]}]


def _key_jwks(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    # One document and no table, whichever format is asked for.
    arguments.format = "document"
    return [records.published_keys(conf, retired=arguments.retired)]


def _sm2_key_create(name: str) -> dict[str, Any]:
    if not name:
        raise SigningKeyError(
            "[verifier] sm2_signing_key names no file", remedy="set it in verifier.conf"
        )
    sm2_records.create_key(Path(name))
    return {"file": name, "kid": sm2_records.load_signer(Path(name)).jwk["kid"]}


def _policy_check(_conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    timed = read_policy(Path(arguments.file))
    policy = timed.at(utc_now())
    pcrs = {bank: sorted(values) for bank, values in policy.pcrs.items()}
    closes = [moment.isoformat() for moment in timed.moments]
    shown = {"name": policy.name, "hosts": policy.hosts, "level": policy.level, "pcrs": pcrs}
    return [{**shown, "windows_close": closes, "cautions": cautions(policy)}]


def _policy_accept(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    policy = read_policy(Path(arguments.file)).at(None)
    policy_versions.accept(_database(conf), policy, utc_now(), getpass.getuser())
    return [{"name": policy.name, "version": policy.version, "state": "accepted"}]


def _policy_list(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> Rows:
    known = {one.name: one for one in _database(conf).read(version_rows.everyone)}
    rows = []
    for path in sorted(Path(conf.verifier.policy_dir).glob("*.yaml")):
        timed = read_policy(path)
        policy = timed.at(utc_now())
        applied = known.get(policy.name)
        rows.append(
            {
                "file": path.name,
                "name": policy.name,
                "hosts": policy.hosts,
                "version": policy.version,
                "newest_applied": applied.version if applied is not None else None,
                "windows_close": [moment.isoformat() for moment in timed.moments],
            }
        )
    return rows


def _policy_schema(_conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    # One document and no table, whichever format is asked for.
    arguments.format = "document"
    return [policy_schema()]


def _host_list(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> Rows:
    return [_host_row(found) for found in operator.standings(_database(conf), utc_now())]


def _host_show(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    found = operator.standing_of(_database(conf), arguments.host, utc_now())
    shown = {
        **_host_row(found),
        "suite": found.record.suite,
        "ek_name": name_of(found.record.ek_public).hex(),
        "ak_name": found.record.ak_name.hex(),
        "ek_accepted_by": found.record.ek_accepted_by,
        "enrolled_at": found.record.enrolled_at.isoformat(),
    }
    failed = {f"failed: {c.check}": f"{c.code}: {c.reason}" for c in found.failed}
    if arguments.format == "json":
        return [{**shown, "failed": {c.check: f"{c.code}: {c.reason}" for c in found.failed}}]
    return [{"field": k, "value": v} for k, v in {**shown, **failed}.items()]


def _host_approve(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    database = _database(conf)
    operator.approve(database, arguments.host, utc_now(), ek_sha256=arguments.ek_sha256)
    return [_host_row(operator.standing_of(database, arguments.host, utc_now()))]


def _host_revoke(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    database = _database(conf)
    operator.revoke(database, arguments.host, utc_now())
    return [_host_row(operator.standing_of(database, arguments.host, utc_now()))]


def _host_remove(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    operator.remove(_database(conf), arguments.host, utc_now())
    return [{"host": arguments.host, "state": "removed"}]


def _placement_clean(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> Rows:
    http = adapter_of(conf, "placement")
    if http is None:
        raise PlacementError("[placement] names no account", code="PLACEMENT_NONE")
    traits = Traits(http)
    rows = []
    for name, carrier in sorted(traits.carriers().items()):
        traits.write(carrier.uuid, frozenset())
        rows.append({"provider": name, "removed": ", ".join(sorted(carrier.traits))})
    traits.forget()
    return rows


def _event_list(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> Rows:
    limit, kind, host = arguments.limit, arguments.kind, arguments.host
    found = _database(conf).read(lambda s: events.newest(s, limit, kind, host))
    return [
        {
            "at": e.at.isoformat(),
            "kind": e.kind,
            "host": e.host,
            "server": e.instance,
            "message": e.message,
        }
        for e in found
    ]


def _database(conf: cfg.ConfigOpts) -> Database:
    database = Database(conf)
    migration.require_current(database)
    return database


def _host_row(found: operator.Standing) -> dict[str, Any]:
    return {
        "host": found.record.name,
        "state": found.word,
        "level": found.level,
        "lease_seconds": round(found.seconds, 1),
        "since": found.since.isoformat() if found.since else None,
    }


if __name__ == "__main__":
    sys.exit(main())
