# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-status upgrade check``: can this release work with what is there?

Exit status as oslo.upgradecheck has it: 0 ready, 1 warnings, 2 failures, 255 something else.
"""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.db import migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.trust import records
from e2etrust_verifier.trust.policies import read_policy


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

    def policies(self) -> Result:
        """Every policy is one: a single wrong file keeps all hosts from passing."""
        try:
            directory = Path(self._conf.verifier.policy_dir)
            paths = sorted(directory.glob("*.yaml"))
            for path in paths:
                read_policy(path)
        except E2ETrustError as exc:
            return _failure(exc)
        if not paths:
            return Result(Code.WARNING, f"{directory} holds no policy: no host can be trusted")
        return Result(Code.SUCCESS, f"{len(paths)} policies")

    def signing_key(self) -> Result:
        """The key that signs launch records is there and can be used."""
        try:
            records.load_signer(Path(self._conf.verifier.signing_key))
        except E2ETrustError as exc:
            return _failure(exc)
        return Result(Code.SUCCESS)

    _upgrade_checks = (
        ("Configuration", configuration),
        ("Database schema", schema),
        ("Host policies", policies),
        ("Signing key", signing_key),
    )


def _failure(exc: E2ETrustError) -> Result:
    return Result(Code.FAILURE, f"{exc}. {exc.remedy}".rstrip(". "))


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
