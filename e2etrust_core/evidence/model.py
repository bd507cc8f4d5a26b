# SPDX-License-Identifier: Apache-2.0
"""Evidence as values (RATS, RFC 9334: what an attester sends)."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Bank name (``sha256``) -> PCR index -> value.
PcrValues = dict[str, dict[int, bytes]]
#: Bank name -> PCR indexes, ascending.
PcrSelection = dict[str, list[int]]

#: A TCG event log larger than this is refused unread.
MAX_EVENT_LOG = 2 * 1024 * 1024
#: Most that a host sends of what systemd measured after the firmware (some 3,000 records).
MAX_LATER_LOG = 1024 * 1024
#: No host runs more domains at once; a longer list is refused unread.
MAX_DOMAINS = 4096
#: Most that a host sends of its IMA list at once, in bytes (some 70,000 entries).
MAX_IMA_PART = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Quote:
    """A TPM2_Quote and the PCR values it is said to cover.

    ``attest`` is the TPMS_ATTEST exactly as signed, ``signature`` a TPMT_SIGNATURE
    (TPM 2.0 Library Part 2, 10.12.12 and 11.3.4).  ``pcrs`` is only a claim until
    :func:`e2etrust_core.evidence.quote.verify_quote` has checked it.
    """

    attest: bytes
    signature: bytes
    pcrs: PcrValues


@dataclass(frozen=True, slots=True)
class RunningDomain:
    """A domain that runs on the host now, and the launch it was started by, if any."""

    instance: str
    name: str
    demands_trust: bool
    launch: str | None


@dataclass(frozen=True, slots=True)
class HostEvidence:
    """What a host sends for one challenge.

    ``event_log`` is binary_bios_measurements, ``ima`` binary_runtime_measurements from byte
    ``ima_from`` on, ``later_log`` systemd's tpm2-measure.log; the last two are read after the quote
    was made.
    """

    quote: Quote
    event_log: bytes | None = None
    domains: list[RunningDomain] = field(default_factory=list)
    ima: bytes | None = None
    ima_from: int = 0
    later_log: bytes | None = None


@dataclass(frozen=True, slots=True)
class GuestIdentity:
    """A guest vTPM's keys: TPMT_PUBLIC of EK and AK, EK certificate (DER) where there is one."""

    ek_public: bytes
    ak_public: bytes
    ek_certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class GuestEvidence:
    """A guest vTPM's quote with its event log; ``activated`` answers a credential challenge."""

    identity: GuestIdentity
    quote: Quote
    event_log: bytes
    activated: bytes | None = None
