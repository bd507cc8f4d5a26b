# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-status upgrade check``: can this release work with what is there?

Exit status as oslo.upgradecheck has it: 0 ready, 1 warnings, 2 failures, 255 something else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result
from sqlalchemy.orm import Session

from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.db import migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.notify.signature import read_secrets
from e2etrust_verifier.readiness import files as file_modes
from e2etrust_verifier.readiness import host_policies, stored
from e2etrust_verifier.readiness import options as option_names
from e2etrust_verifier.readiness import trusting as trusting_options
from e2etrust_verifier.trust import records
from e2etrust_verifier.trust.policies import PolicyStore
from e2etrust_verifier.trust.policy_overview import overview
from e2etrust_verifier.trust.surroundings import utc_now


class Checks(upgradecheck.UpgradeCommands):
    """Each check looks, and changes nothing."""

    def __init__(self, command_line: cfg.ConfigOpts) -> None:
        self._command_line = command_line

    @cached_property
    def _conf(self) -> cfg.ConfigOpts:
        return configuration.load(self._command_line.config_file or None)

    def configuration(self) -> Result:
        """The configuration can be read, by this service's user only."""
        try:
            _ = self._conf
        except E2ETrustError as exc:
            return _failure(exc)
        return Result(Code.SUCCESS)

    def options(self) -> Result:
        """All that configuration files say is read."""
        try:
            return _told(option_names.unread(self._conf.config_file or []), Code.WARNING)
        except E2ETrustError as exc:
            return _failure(exc)

    def files(self) -> Result:
        """Nobody else reads secrets, or writes what decides who is trusted."""
        try:
            return _told(file_modes.open_to_others(self._conf), Code.FAILURE)
        except E2ETrustError as exc:
            return _failure(exc)

    def access_rules(self) -> Result:
        """Host policies and rules of who may ask what lie apart."""
        try:
            return _told(file_modes.taken_for_access_rules(self._conf), Code.WARNING)
        except E2ETrustError as exc:
            return _failure(exc)

    def trusting(self) -> Result:
        """No option trusts more than it needs to."""
        try:
            return _told(trusting_options.trusting(self._conf), Code.WARNING)
        except E2ETrustError as exc:
            return _failure(exc)

    def schema(self) -> Result:
        """The database answers and has this release's schema."""
        try:
            found = migration.version(Database(self._conf))
        except E2ETrustError as exc:
            return _failure(exc)
        except db_exc.DBError as exc:
            return Result(Code.FAILURE, f"the database does not answer: {type(exc).__name__}")
        if found != migration.newest():
            due = f"the schema is {found or 'none'}, this release needs {migration.newest()}"
            return Result(Code.WARNING, f"{due}: run e2etrust-manage db sync")
        return Result(Code.SUCCESS)

    def nodes(self) -> Result:
        """Whichever node of the database answers, it is with what all have committed."""
        return self._stored(stored.old_reads, Code.WARNING)

    def policies(self) -> Result:
        """Every policy is one, and trusts no more than was meant.

        A single wrong file keeps all hosts from passing.
        """
        try:
            directory = Path(self._conf.verifier.policy_dir)
            found = PolicyStore(directory).files()
        except E2ETrustError as exc:
            return _failure(exc)
        if not found:
            return Result(Code.WARNING, f"{directory} holds no policy: no host can be trusted")
        if faults := [one.fault.with_remedy() for one in found if one.fault]:
            return _told(faults, Code.FAILURE)
        return _told(host_policies.doubtful(directory, found, utc_now()), Code.WARNING)

    def applied_policies(self) -> Result:
        """No policy is refused because a newer one was applied before."""

        def refused(session: Session, now: datetime) -> list[str]:
            store = PolicyStore(Path(self._conf.verifier.policy_dir))
            found = overview(session, store, now).policies
            faults = [one.fault for one in found if one.word in ("rolled-back", "altered")]
            return [fault.with_remedy() for fault in faults if fault is not None]

        return self._stored(refused, Code.FAILURE)

    def signing_keys(self) -> Result:
        """The keys that sign records, results and webhooks are there and can be used."""
        try:
            records.published_keys(self._conf)
            if self._conf.webhook.urls:
                read_secrets(Path(self._conf.webhook.secret_file))
        except E2ETrustError as exc:
            return _failure(exc)
        return Result(Code.SUCCESS)

    def challenge_keys(self) -> Result:
        """The keys that challenges are drawn by are such, and of now."""
        return self._stored(stored.wrong_challenge_keys, Code.WARNING)

    def hosts(self) -> Result:
        """This release can read what is known of every host."""
        return self._stored(stored.unusable_hosts, Code.WARNING)

    def tpms(self) -> Result:
        """Every TPM speaks for one host."""
        return self._stored(stored.shared_tpms, Code.WARNING)

    def verifier_keys(self) -> Result:
        """Every host knows the verifier by its keys: nobody else can answer in its place."""
        return self._stored(stored.unpinning_hosts, Code.WARNING)

    def agents(self) -> Result:
        """No agent is older than this release takes reports from."""
        return self._stored(stored.old_agents, Code.WARNING)

    def workers(self) -> Result:
        """No worker of the release before runs."""
        return self._stored(stored.old_workers, Code.WARNING)

    def _stored(self, look: Callable[[Session, datetime], list[str]], code: Code) -> Result:
        try:
            database = Database(self._conf)
            migration.require_current(database)
            return _told(database.read(lambda s: look(s, utc_now())), code)
        except E2ETrustError as exc:
            return Result(Code.WARNING, f"not looked at: {exc.with_remedy()}")
        except db_exc.DBError as exc:
            return Result(Code.FAILURE, f"the database does not answer: {type(exc).__name__}")

    _upgrade_checks = (
        ("Configuration", configuration),
        ("Configuration options", options),
        ("Files", files),
        ("Access rules", access_rules),
        ("Trusting options", trusting),
        ("Database schema", schema),
        ("Database nodes", nodes),
        ("Host policies", policies),
        ("Applied policies", applied_policies),
        ("Signing keys", signing_keys),
        ("Challenge keys", challenge_keys),
        ("Hosts", hosts),
        ("TPMs", tpms),
        ("Verifier keys on hosts", verifier_keys),
        ("Agents", agents),
        ("Workers", workers),
    )


def _told(sentences: list[str], code: Code) -> Result:
    return Result(code, "; ".join(sentences)) if sentences else Result(Code.SUCCESS)


def _failure(exc: E2ETrustError) -> Result:
    return Result(Code.FAILURE, exc.with_remedy())


def main(argv: list[str] | None = None) -> int:
    command_line = cfg.ConfigOpts()
    arguments = sys.argv[1:] if argv is None else argv
    return int(
        upgradecheck.main(
            command_line,
            project="e2etrust",
            upgrade_command=Checks(command_line),
            argv=arguments,
            default_config_files=[],
        )
    )


if __name__ == "__main__":
    sys.exit(main())
