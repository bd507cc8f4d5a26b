# SPDX-License-Identifier: Apache-2.0
"""What the decisions stand on, made once when the service starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from e2etrust_core.messages import LaunchRecord
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.trust.challenge_keys import ChallengeKeys
from e2etrust_verifier.trust.endorsement import Endorsement
from e2etrust_verifier.trust.policies import PolicyStore


@dataclass(frozen=True, slots=True)
class Settings:
    """Plain values; lifetimes in seconds."""

    issuer: str = "e2etrust-verifier"
    nonce_lifetime: float = 30.0
    enrolment_lifetime: float = 60.0
    hold_new_hosts: bool = False
    only_expected_hosts: bool = False
    verdicts_kept: int = 50
    refusals_kept: int = 50
    launches_kept: int = 20
    events_kept: int = 5000
    outbox_kept: int = 10000
    outbox_longest_wait: float = 259200.0


class KeySource(Protocol):
    """Where image keys come from."""

    def image_key(self, key_id: str, project: str | None) -> bytes:
        """Return the key for a server of *project*, None where that has none.

        :raises KeyDenied, KeyUnknown, KeyUnavailable: each with what to do.
        """


class Signer(Protocol):
    """Signs launch records."""

    def sign(self, record: LaunchRecord) -> str:
        """Return the record as JWS (compact form)."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``changed(host)`` tells that a host's trust changed; it returns at once."""

    db: Database
    settings: Settings
    policies: PolicyStore
    endorsement: Endorsement
    signer: Signer
    keys: KeySource
    changed: Callable[[str], None]
    now: Callable[[], datetime] = utc_now
    challenge_keys: ChallengeKeys = field(default_factory=ChallengeKeys)
