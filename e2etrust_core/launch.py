# SPDX-License-Identifier: Apache-2.0
"""What is measured when a server starts, and what quotes are bound to.

The launch measurement is one canonical list that goes into the server's vTPM as H-CRTM
(TCG PC Client PFP 1.05, 3.3.2: PCR 0 starts at H(0...04 || H(data)) instead of 0).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from e2etrust_core import wire
from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.model import GuestEvidence, RunningDomain

_ATTEST = b"e2etrust attest v1\0"
_LAUNCH = b"e2etrust launch v1\0"
_SERVER = b"e2etrust server v1\0"
_REPORT = b"e2etrust report v1\0"


@dataclass(frozen=True, slots=True)
class LaunchMeasurement:
    """Digests (SHA-256, but for ``protected_root``, SM3) of all that a launch stands on.

    ``firmware``: the firmware image; ``machine``: the canonical machine definition;
    ``sealed_header``: LUKS2 header area and footer of the sealed image; ``protected_root``: the
    root over its protected extents; ``lease``: id of the host's lease that the launch was
    granted under.  The two about the image are None where the image is not sealed.
    """

    instance: str
    firmware: bytes
    machine: bytes
    lease: str
    sealed_header: bytes | None = None
    protected_root: bytes | None = None

    def canonical(self) -> bytes:
        """Return the bytes that are hashed into the vTPM."""
        return wire.canonical(self)

    def hcrtm_pcr0(self, hash_name: str = "sha256") -> bytes:
        """Return the value PCR 0 starts from in the bank of that hash, before any firmware event.

        See :func:`hcrtm_pcr0`.
        """
        return hcrtm_pcr0(self.canonical(), hash_name)


def hcrtm_pcr0(measurement: bytes, hash_name: str) -> bytes:
    """Return the PCR 0 that an H-CRTM over *measurement* leaves, before any firmware event.

    TPM 2.0 Library Part 1, 17.10 (H-CRTM): extend of PCR 0 = 0...04 by H(data).

    :param hash_name: the bank's hash as :mod:`hashlib` calls it.
    :raises OpinionsDiffer: two crypto providers are asked of SM3 and do not agree.
    """
    digest = digest_of(hash_name, measurement)
    return digest_of(hash_name, bytes(len(digest) - 1) + b"\x04" + digest)


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A server about to start, as the hook read it from its domain.

    ``key_id`` is the id of the image key that the sealed image's token names.  ``vtpm`` says
    whether the server has a vTPM that takes the measurement; without one no proof reaches it.
    ``level`` is the least level of the host's policy that is asked for, 0 where none is.
    """

    measurement: LaunchMeasurement
    name: str
    project: str | None
    image: str | None
    flavor: str | None
    key_id: str | None
    vtpm: bool = False
    level: int = 0

    @property
    def instance(self) -> str:
        return self.measurement.instance


def attest_binding(nonce: bytes, domains: list[RunningDomain]) -> bytes:
    """Qualifying data (32 bytes) of a periodic host quote."""
    return hashlib.sha256(_ATTEST + _sized(nonce) + _digest(domains)).digest()


def launch_binding(nonce: bytes, request: LaunchRequest, domains: list[RunningDomain]) -> bytes:
    """Qualifying data (32 bytes) of the host quote that asks to launch *request*."""
    return hashlib.sha256(
        _LAUNCH + _sized(nonce) + _request_digest(request) + _digest(domains)
    ).digest()


def server_binding(nonce: bytes, launch: str, guest: GuestEvidence) -> bytes:
    """Qualifying data (32 bytes) of the host quote that is taken together with a guest's."""
    return hashlib.sha256(
        _SERVER + _sized(nonce) + _sized(launch.encode()) + _digest(guest)
    ).digest()


def report_binding(method: str, report: object) -> bytes:
    """Qualifying data (32 bytes) of the host quote that vouches for a report of that host.

    :param method: the RPC method it is sent by: what is signed for one is good for no other.
    :param report: the message, without its proof.
    """
    return hashlib.sha256(_REPORT + _sized(method.encode()) + _digest(report)).digest()


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _request_digest(request: LaunchRequest) -> bytes:
    value = wire.to_dict(request)
    if not request.level:
        # As it was signed before there were levels: by hosts and in records of releases before.
        del value["level"]
    return _digest(value)


def _digest(value: object) -> bytes:
    return hashlib.sha256(wire.canonical(value)).digest()
