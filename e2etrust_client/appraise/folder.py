# SPDX-License-Identifier: Apache-2.0
"""A folder of recorded evidence, read into values.

``NAME.msg``, ``NAME.sig`` and ``NAME.pcrs`` are a quote as tpm2_quote writes it (TPMS_ATTEST,
TPMT_SIGNATURE, PCR values in its "serialized" format); ``ak_*.tpmt`` public areas of attestation
keys (TPMT_PUBLIC), with ``.name`` and ``.pem`` beside them that must be of the same key;
``ek_*.pub`` of endorsement keys (TPM2B_PUBLIC), ``ekcert_*.der`` their certificates,
``ekchain.der`` what the TPM carries to vouch for them (NV 0x01C00100 and on);
``bios_log`` is binary_bios_measurements, ``ima_bin`` binary_runtime_measurements,
``tpm2-measure.log`` what systemd measured (JSON records of TCG's canonical event log).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from e2etrust_core.errors import E2ETrustError, EvidenceError
from e2etrust_core.evidence import pem
from e2etrust_core.evidence.canonical_log import MAX_CANONICAL_LOG, parse_canonical_log
from e2etrust_core.evidence.certificate import same_key
from e2etrust_core.evidence.ek_chain import MAX_EK_CHAIN
from e2etrust_core.evidence.errors import QuoteMagicWrong, QuoteTypeWrong
from e2etrust_core.evidence.event_log import EventLog, parse_event_log
from e2etrust_core.evidence.ima_frames import split_ima_list
from e2etrust_core.evidence.ima_list import MAX_IMA_LIST
from e2etrust_core.evidence.model import MAX_EVENT_LOG, PcrValues, Quote
from e2etrust_core.evidence.public_keys import decode_spki
from e2etrust_core.evidence.tpm_bytes import unsized
from e2etrust_core.evidence.tpm_structures import (
    decode_public,
    decode_quote,
    decode_signature,
    name_of,
    public_key_of,
)
from e2etrust_core.one_line import printable
from e2etrust_core.suites import HASH_BY_ID

LATER_LOG = "tpm2-measure.log"
_MAX_FILE = 64 * 1024
BANK_SLOTS = 16
DIGEST_SLOTS = 8
DIGEST_ROOM = 64
_MAX_QUOTES = 64


class FolderUnreadable(EvidenceError):
    """The folder, or a file in it, cannot be read as recorded evidence."""

    code = "EVIDENCE_UNREADABLE"
    remedy = "record the evidence again; doc/admin names the files of such a folder"


@dataclass(frozen=True, slots=True)
class RecordedQuote:
    name: str
    quote: Quote


@dataclass(frozen=True, slots=True)
class RecordedEvidence:
    """What a folder holds; keys by file name, public areas as TPMT_PUBLIC."""

    quotes: list[RecordedQuote]
    aks: dict[str, bytes]
    #: Of an AK the file beside it that tells another key (CVE-2021-3406).
    ak_conflicts: dict[str, str]
    eks: dict[str, bytes]
    ek_certificates: dict[str, bytes]
    ek_chain: bytes
    event_log: EventLog | None
    #: What was measured after the firmware.
    later_log: EventLog | None
    ima: bytes | None


def read_folder(folder: Path) -> RecordedEvidence:
    """Read *folder*.

    :raises FolderUnreadable: no such folder, no quote or key in it, or a file that cannot be read.
    :raises EvidenceError: a file that is not what its name says; the file is named.
    """
    try:
        os.listdir(folder)  # a pattern finds nothing in a folder that may not be read
    except OSError as exc:
        raise FolderUnreadable(f"{folder} cannot be read: {exc.strerror}") from None
    quotes = [_quote(path) for path in _files(folder, "*.msg")]
    whole = {recorded.name for recorded in quotes}
    for path in _files(folder, "*.pcrs"):
        if printable(path.stem) not in whole:
            raise FolderUnreadable(f"{path.name} belongs to a quote that is not there")
    if not quotes:
        raise FolderUnreadable(f"{folder} holds no quote (NAME.msg, NAME.sig, NAME.pcrs)")
    aks = {path.name: _public(path, sized=False) for path in _files(folder, "ak*.tpmt")}
    if not aks:
        raise FolderUnreadable(f"{folder} holds no attestation key (ak_NAME.tpmt)")
    return RecordedEvidence(
        quotes=quotes,
        aks=aks,
        ak_conflicts={
            name: other for name, area in aks.items() if (other := _conflict(folder / name, area))
        },
        eks={
            path.name: _public(path, sized=True)
            for pattern in ("ek_*.pub", "ek.pub")
            for path in _files(folder, pattern)
        },
        ek_certificates={path.name: _bytes(path) for path in _files(folder, "ekcert*.der")},
        ek_chain=_ek_chain(folder / "ekchain.der"),
        event_log=_event_log(folder / "bios_log"),
        later_log=_later_log(folder / LATER_LOG),
        ima=_ima(folder / "ima_bin"),
    )


def parse_pcr_values(data: bytes, name: str) -> PcrValues:
    """Read PCR values as tpm2_quote's "serialized" format has them: C structures, little-endian.

    :raises FolderUnreadable: of another size or count, or a bank unknown here.
    """
    at = 4
    selected: list[tuple[str, int]] = []
    count = int.from_bytes(data[:4], "little")
    if len(data) < at + BANK_SLOTS * 8 + 4 or not 1 <= count <= BANK_SLOTS:
        raise FolderUnreadable(f"{name}: no PCR values as tpm2_quote writes them")
    for slot in range(count):
        selected += _bank(data[at + slot * 8 : at + slot * 8 + 8], name)
    digests = _digests(data[at + BANK_SLOTS * 8 :], name)
    if len(digests) != len(selected) or len(set(selected)) != len(selected):
        raise FolderUnreadable(f"{name}: {len(digests)} values for {len(selected)} selected PCRs")
    values: PcrValues = {}
    for (bank, index), value in zip(selected, digests, strict=True):
        values.setdefault(bank, {})[index] = value
    return values


def _bank(raw: bytes, name: str) -> list[tuple[str, int]]:
    """TPMS_PCR_SELECTION: hash, sizeofSelect, four bytes of bitmap, one of padding."""
    algorithm, size = int.from_bytes(raw[:2], "little"), raw[2]
    known = HASH_BY_ID.get(algorithm)
    if known is None or size > 4:
        raise FolderUnreadable(f"{name}: PCR bank {algorithm:#06x} is none that is read here")
    bits = int.from_bytes(raw[3 : 3 + size], "little")
    return [(known.name, index) for index in range(size * 8) if bits >> index & 1]


def _digests(data: bytes, name: str) -> list[bytes]:
    groups, at, found = int.from_bytes(data[:4], "little"), 4, []
    room = 2 + DIGEST_ROOM
    if len(data) != 4 + groups * (4 + DIGEST_SLOTS * room):
        raise FolderUnreadable(f"{name}: PCR values of another size than they state")
    for _ in range(groups):
        count = int.from_bytes(data[at : at + 4], "little")
        at += 4
        for slot in range(min(count, DIGEST_SLOTS)):
            start = at + slot * room
            size = int.from_bytes(data[start : start + 2], "little")
            found.append(data[start + 2 : start + 2 + min(size, DIGEST_ROOM)])
        at += DIGEST_SLOTS * room
    return found


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if len(found) > _MAX_QUOTES:
        raise FolderUnreadable(f"{folder} holds {len(found)} files {pattern}")
    return found


def _bytes(path: Path, limit: int = _MAX_FILE) -> bytes:
    try:
        # A pipe would have us wait for whoever writes to it.
        if not path.is_file():
            path.stat()
            raise FolderUnreadable(f"{path.name} is no file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as exc:
        raise FolderUnreadable(f"{path.name} cannot be read: {exc.strerror}") from None
    if len(data) > limit:
        raise FolderUnreadable(f"{path.name} is larger than {limit} bytes")
    return data


def _quote(message: Path) -> RecordedQuote:
    attest, signature = _bytes(message), _bytes(message.with_suffix(".sig"))
    values = message.with_suffix(".pcrs")
    try:
        decode_signature(signature)
        decode_quote(attest)
    except (QuoteMagicWrong, QuoteTypeWrong):
        pass  # it can be read, and is refused as what it is
    except EvidenceError as exc:
        raise FolderUnreadable(f"{message.stem}: {exc.reason}") from None
    quote = Quote(attest, signature, parse_pcr_values(_bytes(values), values.name))
    return RecordedQuote(printable(message.stem), quote)


def _public(path: Path, *, sized: bool) -> bytes:
    try:
        data = unsized(_bytes(path), "public area") if sized else _bytes(path)
        decode_public(data)
    except FolderUnreadable:
        raise
    except EvidenceError as exc:
        raise FolderUnreadable(f"{path.name}: {exc.reason}") from None
    return data


def _conflict(path: Path, public: bytes) -> str:
    """Return the file that tells another key than the public area in *path*; empty: none does."""
    name, key = path.with_suffix(".name"), path.with_suffix(".pem")
    if os.path.lexists(name) and _bytes(name) != name_of(public):
        return name.name
    return key.name if os.path.lexists(key) and not _is_of(_bytes(key), public) else ""


def _is_of(key: bytes, public: bytes) -> bool:
    try:
        (block,) = pem.blocks(key)
        return same_key(decode_spki(block.der()), public_key_of(decode_public(public)))
    except (ValueError, E2ETrustError):
        return False


def _event_log(path: Path) -> EventLog | None:
    return parse_event_log(_bytes(path, MAX_EVENT_LOG)) if os.path.lexists(path) else None


def _later_log(path: Path) -> EventLog | None:
    if not os.path.lexists(path):
        return None
    return parse_canonical_log(_bytes(path, MAX_CANONICAL_LOG))


def _ek_chain(path: Path) -> bytes:
    return _bytes(path, MAX_EK_CHAIN) if os.path.lexists(path) else b""


def _ima(path: Path) -> bytes | None:
    if not os.path.lexists(path):
        return None
    data = _bytes(path, MAX_IMA_LIST)
    split_ima_list(data)  # what no reader can read is told before any check
    return data
