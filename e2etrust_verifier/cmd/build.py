# SPDX-License-Identifier: Apache-2.0
"""From configuration to the surroundings that decisions stand on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from oslo_config import cfg

from e2etrust_core import crypto
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.keys import CastellanKeys
from e2etrust_verifier.rpc.signing import AnswerSigner
from e2etrust_verifier.trust import records, sm2_records
from e2etrust_verifier.trust.endorsement import Endorsement
from e2etrust_verifier.trust.policies import PolicyStore
from e2etrust_verifier.trust.surroundings import Settings, Surroundings


def surroundings(
    conf: cfg.ConfigOpts, database: Database, changed: Callable[[str], None]
) -> Surroundings:
    """Return them; the process's crypto provider is chosen on the way.

    :raises SigningKeyError: there is no usable signing key.
    :raises SuiteError: a crypto provider that cannot be loaded.
    """
    chosen = conf.verifier
    crypto.select(conf.crypto.provider, conf.crypto.second_opinion)
    return Surroundings(
        db=database,
        settings=_settings(conf),
        policies=PolicyStore(Path(chosen.policy_dir)),
        endorsement=Endorsement(_path(chosen.ek_ca_bundle), _path(chosen.ek_pins)),
        signer=records.load_signer(Path(chosen.signing_key)),
        keys=CastellanKeys(conf),
        changed=changed,
    )


def answer_signer(conf: cfg.ConfigOpts) -> AnswerSigner:
    """:raises SigningKeyError: a key cannot be used."""
    usual, sm2 = Path(conf.verifier.signing_key), _path(conf.verifier.sm2_signing_key)
    return AnswerSigner(
        records.load_signer(usual), None if sm2 is None else sm2_records.load_signer(sm2)
    )


def _settings(conf: cfg.ConfigOpts) -> Settings:
    chosen = conf.verifier
    return Settings(
        issuer=chosen.issuer,
        nonce_lifetime=chosen.nonce_lifetime,
        enrolment_lifetime=chosen.enrolment_lifetime,
        hold_new_hosts=chosen.new_hosts == "operator",
        only_expected_hosts=chosen.new_hosts == "expected",
        verdicts_kept=chosen.verdicts_kept,
        refusals_kept=chosen.refusals_kept,
        launches_kept=chosen.launches_kept,
        events_kept=chosen.events_kept,
        outbox_kept=conf.outbox.kept,
        outbox_longest_wait=conf.outbox.longest_wait,
    )


def _path(name: str) -> Path | None:
    return Path(name) if name else None
