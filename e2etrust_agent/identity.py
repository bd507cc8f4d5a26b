# SPDX-License-Identifier: Apache-2.0
"""Who this host is: its TPM's endorsement key and the attestation key made under it.

The attestation key is made once and kept.  A TPM that no longer answers to it is another TPM,
or one that was cleared; the agent says so and never makes itself a new identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2etrust_agent.client.private_files import private_directory, read_private, write_private
from e2etrust_agent.errors import IdentityError, StateError
from e2etrust_core import wire
from e2etrust_core.errors import InputError
from e2etrust_core.evidence.tpm_structures import ek_sha256, name_of
from e2etrust_core.suites import suite as suite_named
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.ek_templates import EkKind
from e2etrust_core.tpm.errors import KeyLost
from e2etrust_core.tpm.keys import AttestationKey, check_ak_loads, create_ak, read_ek

_LIMIT = 64 * 1024
_NEW_IDENTITY = (
    "If the TPM was replaced or cleared on purpose: have the operator remove the host's record "
    "(e2etrust-manage host remove), then run e2etrust-agent --new-identity once."
)


@dataclass(frozen=True, slots=True)
class Identity:
    """``ek_public`` TPMT_PUBLIC, ``ek_certificate`` DER or None; ``ak`` is of use to its TPM."""

    host: str
    ek_public: bytes
    ek_certificate: bytes | None
    ak: AttestationKey


@dataclass(frozen=True, slots=True)
class IdentityShown:
    """What an operator needs to know of an identity; names and digests in hex.

    ``ek_sha256`` is the SHA-256 of the EK's TPMT_PUBLIC, as inventories have it.
    """

    host: str
    suite: str
    ek_sha256: str
    ek_certificate: bool
    ek_name: str
    ak_name: str


def show_identity(identity: Identity) -> IdentityShown:
    return IdentityShown(
        host=identity.host,
        suite=identity.ak.suite,
        ek_sha256=ek_sha256(identity.ek_public),
        ek_certificate=identity.ek_certificate is not None,
        ek_name=name_of(identity.ek_public).hex(),
        ak_name=name_of(identity.ak.public).hex(),
    )


def identity_path(state_dir: Path) -> Path:
    """Return where the identity is kept."""
    return state_dir / "identity.json"


def forget_identity(state_dir: Path) -> bool:
    """Set the kept identity aside (an operator's explicit act); say whether there was one."""
    path = identity_path(state_dir)
    try:
        path.rename(path.with_suffix(".json.old"))
    except FileNotFoundError:
        return False
    return True


def load_or_create(
    tpm: Tpm, host: str, suite: str, state_dir: Path, ek: EkKind | None = None
) -> Identity:
    """Return this host's identity, made on first use and checked against the TPM ever after.

    :param ek: which endorsement key; None: one with a certificate, else that on P-256.
    :raises IdentityError: code TPM_REPLACED, AK_LOST, HOST_RENAMED, SUITE_CHANGED or EK_CHANGED.
    :raises StateError: the kept identity cannot be read or written.
    :raises e2etrust_core.tpm.errors.TpmError: the TPM does not answer.
    """
    private_directory(state_dir)
    try:
        data = read_private(identity_path(state_dir), _LIMIT)
    except FileNotFoundError:
        return _create(tpm, host, suite, state_dir, ek)
    try:
        identity = wire.from_json(Identity, data)
    except InputError as exc:
        raise StateError(f"{identity_path(state_dir)} is broken: {exc}") from exc
    _check(tpm, identity, host, suite, ek)
    return identity


def _create(tpm: Tpm, host: str, suite: str, state_dir: Path, kind: EkKind | None) -> Identity:
    with tpm.connected():
        ek = read_ek(tpm, kind)
        ak = create_ak(tpm, suite_named(suite), ek.kind)
    identity = Identity(host, ek.public, ek.certificate, ak)
    write_private(identity_path(state_dir), wire.to_json(identity))
    return identity


def _check(tpm: Tpm, identity: Identity, host: str, suite: str, ek: EkKind | None) -> None:
    if identity.host != host:
        raise IdentityError(
            "the configured host name is not the one that was enrolled",
            code="HOST_RENAMED",
            remedy="Set [DEFAULT] host back. " + _NEW_IDENTITY,
        )
    if identity.ak.suite != suite:
        raise IdentityError(
            "the configured suite is not the one of the enrolled attestation key",
            code="SUITE_CHANGED",
            remedy="Set [agent] suite back. " + _NEW_IDENTITY,
        )
    if ek not in (None, identity.ak.ek_kind):
        raise IdentityError(
            "the configured endorsement key is not the one that was enrolled",
            code="EK_CHANGED",
            remedy="Set [agent] ek back. " + _NEW_IDENTITY,
        )
    with tpm.connected():
        if read_ek(tpm, identity.ak.ek_kind).public != identity.ek_public:
            raise IdentityError(
                "this TPM has another endorsement key than the one that was enrolled",
                code="TPM_REPLACED",
                remedy=_NEW_IDENTITY,
            )
        try:
            check_ak_loads(tpm, identity.ak)
        except KeyLost as exc:
            raise IdentityError(
                "the TPM does not load this host's attestation key: it was cleared, or the "
                "key's file was altered",
                code="AK_LOST",
                remedy=_NEW_IDENTITY,
            ) from exc
