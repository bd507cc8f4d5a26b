# SPDX-License-Identifier: Apache-2.0
"""Decides for one step of one domain whether the gate is concerned at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from e2etrust_core.errors import E2ETrustError
from e2etrust_core.launch_domain import (
    EVERY_SERVER_FILE,
    Domain,
    DomainError,
    parse_domain,
    read_domain,
)
from e2etrust_core.trust_names import MIN_LEVEL_SPEC, TRUST_SPEC, UNREADABLE
from e2etrust_nova.errors import ContainerError, DiskRefusedError, LaunchRefused

if TYPE_CHECKING:
    from e2etrust_nova.disk import SealedBase

LAUNCH_DIR = "/run/e2etrust/launches"
DISK_DIR = "/run/e2etrust/disks"


def run(step: str, text: bytes) -> None:
    """Do *step* for the domain whose XML is *text*.

    :raises E2ETrustError: the domain must not start or go on.
    """
    try:
        root = parse_domain(text)
        domain = read_domain(root, _host_demands_trust())
    except DomainError:
        if step == "release":
            return  # nothing of ours can be told from it, and a stop is never refused
        raise
    if step in ("migrate", "restore"):
        if step == "restore":
            _check_memory(domain)
        if domain.demand and domain.has_vtpm:
            from e2etrust_nova.hook.gate import Gate

            Gate().announce(domain)
    elif step == "prepare":
        sealed = _look_closer(domain)
        if domain.demand or sealed is not None:
            from e2etrust_nova.hook.gate import Gate

            Gate().prepare(domain, root, sealed)
        elif _is_ours(domain.instance):
            # An earlier start with a demand that is gone now: its views must not be served.
            from e2etrust_nova.hook.gate import Gate

            Gate().release(domain)
    elif _is_ours(domain.instance):
        from e2etrust_nova.hook.gate import Gate

        Gate().step(step, domain, root)
    elif domain.demand and step in ("start", "started"):
        raise LaunchRefused(
            "this start was never admitted",
            code="LAUNCH_UNKNOWN",
            remedy="Stop the server and start it again.",
        )


def _is_ours(instance: str) -> bool:
    return os.path.lexists(f"{LAUNCH_DIR}/{instance}.json") or os.path.lexists(
        f"{DISK_DIR}/{instance}"
    )


def _host_demands_trust() -> bool:
    """Whether the agent said so.  Where that cannot be told, it did."""
    try:
        os.lstat(EVERY_SERVER_FILE)
    except FileNotFoundError:
        return False
    except OSError:
        pass
    return True


def _look_closer(domain: Domain) -> SealedBase | None:
    with _reported(domain):
        _check_demand(domain)
        sealed = _find_sealed(domain)
        _check_image(domain, sealed)
    return sealed


def _check_memory(domain: Domain) -> None:
    """A saved memory lay in plain on the host's disk, and nobody measured what is in it now."""
    with _reported(domain):
        if _find_sealed(domain) is not None:
            raise LaunchRefused(
                "would go on from memory kept in a plain file",
                code="MEMORY_UNMEASURED",
                remedy="Hard reboot the server; do not suspend one with a sealed disk.",
            )


@contextmanager
def _reported(domain: Domain) -> Iterator[None]:
    """Leave a refusal for the tenant."""
    try:
        yield
    except E2ETrustError as exc:
        from e2etrust_nova.hook.gate import Gate

        Gate().report(domain, exc)
        raise


def _find_sealed(domain: Domain) -> SealedBase | None:
    """The sealed base under the domain's first disk; other disks must not be sealed.

    What lies on disk only ever adds to what Nova's metadata demands.
    """
    found = [_sealed_base(Path(path), domain) for path in domain.disks]
    if any(base is not None for base in found[1:]):
        raise LaunchRefused(
            "a disk other than the first is sealed",
            code="UNSUPPORTED_DISK",
            remedy="Boot the server from the sealed image.",
        )
    if not found or found[0] is None:
        return None
    if domain.boot_disk != domain.disks[0]:
        # A rescue beside the disk, a disc, the network: another system would have the disk opened.
        raise LaunchRefused(
            "starts from another device than its sealed disk",
            code="BOOT_FOREIGN",
            remedy="Unrescue the server; what is sealed only its own system opens.",
        )
    return found[0]


def _sealed_base(path: Path, domain: Domain) -> SealedBase | None:
    from e2etrust_nova.disk import find_sealed_base

    try:
        return find_sealed_base(path)
    except ContainerError:
        raise
    except DiskRefusedError:
        # Not a disk as Nova makes them.  That is nobody's business while nothing is demanded.
        if domain.demand:
            raise
        return None


def _check_demand(domain: Domain) -> None:
    if domain.demand.level >= UNREADABLE:
        raise LaunchRefused(
            f"flavor's {TRUST_SPEC} or {MIN_LEVEL_SPEC} has an unknown value",
            code="DEMAND_UNREADABLE",
            remedy="The operator corrects the flavor; resize the server to it.",
        )


def _check_image(domain: Domain, sealed: SealedBase | None) -> None:
    if domain.demand.sealed and sealed is None:
        raise LaunchRefused(
            "image must be sealed, disk is not",
            code="IMAGE_NOT_SEALED",
            remedy="The disk was swapped, or made before the image was sealed: rebuild the server.",
        )
