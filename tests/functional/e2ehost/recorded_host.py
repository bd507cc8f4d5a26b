# SPDX-License-Identifier: Apache-2.0
"""What a booted machine tells of itself, recorded as e2etrust-appraise reads it.

Quotes are made by the product's own code over a TPM that only the machine's kernel reaches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2ehost import Machine
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.evidence.model import HostEvidence, PcrValues, Quote
from e2etrust_core.launch import attest_binding
from e2etrust_core.suites import ECC_P256_SHA256, HASHES
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.keys import AttestationKey, EndorsementKey, create_ak, read_ek
from e2etrust_core.tpm.quote import take_quote
from tests.functional.core.mssim_bridge import MssimBridge

NONCE = bytes(range(32))
#: What every quote carries: no server runs on these hosts.
BINDING = attest_binding(NONCE, [])
QUOTED = {"sha256": list(range(16))}
EVENT_LOG = "/sys/kernel/security/tpm0/binary_bios_measurements"
IMA_LIST = "/sys/kernel/security/ima/binary_runtime_measurements"


@dataclass(frozen=True)
class Recorded:
    """One moment of a machine: a quote, and the logs read after it."""

    ek: EndorsementKey
    ak: AttestationKey
    quote: Quote
    event_log: bytes
    ima: bytes

    def appraisal(self) -> RecordedAppraisal:
        """As the verifier records it."""
        return RecordedAppraisal(
            host="compute-1",
            suite=self.ak.suite,
            ek_public=self.ek.public,
            ak_public=self.ak.public,
            nonce=NONCE,
            selection=QUOTED,
            evidence=HostEvidence(self.quote, self.event_log, ima=self.ima),
            at="2026-01-01T00:00:00+00:00",
            policy="",
            fingerprint="",
            checks=[],
            ek_certificate=self.ek.certificate,
            ek_accepted_by="certificate",
        )

    def write(self, folder: Path) -> Path:
        """As a folder of evidence."""
        folder.mkdir(parents=True)
        (folder / "q_host.msg").write_bytes(self.quote.attest)
        (folder / "q_host.sig").write_bytes(self.quote.signature)
        (folder / "q_host.pcrs").write_bytes(_serialized(self.quote.pcrs))
        (folder / "ak_host.tpmt").write_bytes(self.ak.public)
        ek = self.ek.public
        (folder / "ek_host.pub").write_bytes(len(ek).to_bytes(2, "big") + ek)
        if self.ek.certificate is not None:
            (folder / "ekcert_host.der").write_bytes(self.ek.certificate)
        (folder / "bios_log").write_bytes(self.event_log)
        (folder / "ima_bin").write_bytes(self.ima)
        return folder


class BootedHost:
    """A machine that is on, with its keys."""

    def __init__(self, machine: Machine, tpm: Tpm, ak: AttestationKey | None) -> None:
        self.machine = machine
        self._tpm = tpm
        self._ek = read_ek(tpm)
        self.ak = ak or create_ak(tpm, ECC_P256_SHA256, self._ek.kind)

    def record(self) -> Recorded:
        quote = take_quote(self._tpm, self.ak, BINDING, QUOTED)
        log, ima = self.machine.read(EVENT_LOG), self.machine.read(IMA_LIST)
        return Recorded(self._ek, self.ak, quote, log, ima)

    def set_enforcing(self, enforcing: bool) -> None:
        self.machine.run(f"echo {int(enforcing)} > /sys/fs/selinux/enforce")


@contextmanager
def booted(machine: Machine, ak: AttestationKey | None = None) -> Iterator[BootedHost]:
    """Boot *machine*; it is cut off at the end.

    :param ak: a key of its TPM from an earlier boot.
    """
    with machine, MssimBridge(machine.tell_tpm) as bridge:
        yield BootedHost(machine, Tpm(f"mssim:host=127.0.0.1,port={bridge.port}"), ak)


def _serialized(pcrs: PcrValues) -> bytes:
    """tpm2_quote's C structures: TPML_PCR_SELECTION, then the values by eights."""
    slots, values = b"", []
    for bank, found in pcrs.items():
        bits = sum(1 << index for index in found)
        slots += HASHES[bank].alg_id.to_bytes(2, "little") + b"\3" + bits.to_bytes(4, "little")
        slots += b"\0"
        values += [found[index] for index in sorted(found)]
    groups = [values[at : at + 8] for at in range(0, len(values), 8)]
    text = len(pcrs).to_bytes(4, "little") + slots.ljust(16 * 8, b"\0")
    text += len(groups).to_bytes(4, "little")
    for group in groups:
        sized = [len(one).to_bytes(2, "little") + one.ljust(64, b"\0") for one in group]
        text += len(group).to_bytes(4, "little") + b"".join(sized).ljust(8 * 66, b"\0")
    return text
