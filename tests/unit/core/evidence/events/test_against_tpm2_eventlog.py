# SPDX-License-Identifier: Apache-2.0
"""Every log at hand decoded as tpm2_eventlog decodes it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import Event, parse_event_log
from e2etrust_core.evidence.events.boot_entries import (
    decode_boot_order,
    decode_load_option,
    is_boot_entry,
)
from e2etrust_core.evidence.events.coverage import coverage
from e2etrust_core.evidence.events.firmware import decode_firmware_blob
from e2etrust_core.evidence.events.images import decode_image_load
from e2etrust_core.evidence.events.kinds import (
    EV_EFI_GPT_EVENT,
    EV_EFI_PLATFORM_FIRMWARE_BLOB,
    EV_EFI_VARIABLE_BOOT,
    EV_EFI_VARIABLE_BOOT2,
    EV_EVENT_TAG,
    EV_SEPARATOR,
    IMAGE_KINDS,
    NAMES,
    VARIABLE_KINDS,
    name_of_kind,
)
from e2etrust_core.evidence.events.partitions import decode_partition_table
from e2etrust_core.evidence.events.tags import decode_tags
from e2etrust_core.evidence.events.variables import decode_signature_lists, decode_variable
from tests.vectors import ROOT, vectors

NO_PCR = 0xFFFFFFFF
DATABASES = {"PK", "KEK", "db", "dbx"}


@dataclass
class Told:
    """One event in the tool's words."""

    pcr: int = -1
    kind: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)


def told(path: Path) -> list[Told]:
    done = subprocess.run(["tpm2_eventlog", str(path)], capture_output=True)
    lines = done.stdout.decode(errors="replace").partition("\npcrs:\n")[0].splitlines()
    events: list[Told] = []
    bank = "sha1"
    for line in lines:
        found = re.fullmatch(r"[\s-]*(\w+): ?(.*)", line)
        if found is None:
            continue
        word, value = found[1], found[2].strip("'\"")
        if word == "PCRIndex":
            events.append(Told())
            events[-1].pcr = int(value)
        elif not events:
            continue
        elif word == "EventType":
            events[-1].kind = value
        elif word == "AlgorithmId":
            bank = value
        elif word == "Digest":
            events[-1].digests[bank] = value
        else:
            events[-1].words.setdefault(word, []).append(value)
    # The Spec ID event is not among ours.
    return [one for one in events if "SpecID" not in one.words]


def logs() -> list[Path]:
    found = [*ROOT.glob("public/eventlogs/*/*"), *ROOT.glob("ovmf-*/bios_log")]
    named = sorted(p for p in found if p.suffix in ("", ".bin", ".log"))
    return [path for path in named if path.name != "specid-vendordata.bin"]


def names(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.fixture(params=logs(), ids=names)
def pairs(request) -> list[tuple[Event, Told]]:
    if shutil.which("tpm2_eventlog") is None:
        pytest.skip("tpm2_eventlog (tpm2-tools) is not installed")
    ours = parse_event_log(request.param.read_bytes()).events
    theirs = told(request.param)
    if len(theirs) != len(ours):
        # The tool gives up at an informative event of no PCR, which real firmware writes last.
        assert [event.pcr for event in ours[len(theirs) :]] == [NO_PCR]
    return list(zip(ours, theirs, strict=False))


def test_logs_are_here():
    vectors("public/eventlogs")
    assert len(logs()) >= 20


def test_types_pcrs_and_digests_are_as_the_tool_says(pairs):
    for event, one in pairs:
        assert event.pcr == one.pcr
        if event.kind in NAMES and not one.kind.startswith("Unknown"):
            assert name_of_kind(event.kind) == one.kind
        for bank, digest in event.digests.items():
            if bank in one.digests:
                assert digest.hex() == one.digests[bank]


def test_variables_are_named_and_sized_as_the_tool_says(pairs):
    for event, one in pairs:
        if event.kind in VARIABLE_KINDS and "UnicodeName" in one.words:
            variable = decode_variable(event.data)
            assert variable.name == one.words["UnicodeName"][0]
            assert str(variable.vendor) == one.words["VariableName"][0]
            assert len(variable.data) == int(one.words["VariableDataLength"][0])


def test_signature_lists_have_the_owners_that_the_tool_says(pairs):
    for event, one in pairs:
        if event.kind in VARIABLE_KINDS and "SignatureOwner" in one.words:
            variable = decode_variable(event.data)
            if variable.name in DATABASES:
                owners = [str(s.owner) for s in decode_signature_lists(variable.data)]
                assert owners == one.words["SignatureOwner"]


def test_loaded_images_lie_where_the_tool_says(pairs):
    for event, one in pairs:
        if event.kind in IMAGE_KINDS and "ImageLengthInMemory" in one.words:
            image = decode_image_load(event.data)
            assert image.length == int(one.words["ImageLengthInMemory"][0])
            assert image.address == int(one.words["ImageLocationInMemory"][0], 16)


def test_every_separator_and_secure_boot_state_is_covered_by_its_digest(pairs):
    for event, _ in pairs:
        told_name = ""
        if event.kind in VARIABLE_KINDS:
            try:
                told_name = decode_variable(event.data).name
            except EventLogError:
                continue
        if event.kind == EV_SEPARATOR or told_name == "SecureBoot":
            for bank in event.digests:
                assert coverage(event, bank) != "nothing"


def test_firmware_lies_where_the_tool_says(pairs):
    for event, one in pairs:
        if event.kind == EV_EFI_PLATFORM_FIRMWARE_BLOB and "BlobBase" in one.words:
            blob = decode_firmware_blob(event.data)
            assert blob.address == int(one.words["BlobBase"][0], 16)
            assert blob.length == int(one.words["BlobLength"][0], 16)


def test_every_boot_entry_partition_table_and_tag_is_decoded_to_its_last_byte(pairs):
    """The tool shows these as bytes only."""
    for event, _ in pairs:
        if event.kind == EV_EFI_GPT_EVENT:
            assert decode_partition_table(event.data).extra == b""
        elif event.kind == EV_EVENT_TAG:
            assert sum(8 + len(tag.data) for tag in decode_tags(event.data)) == len(event.data)
        elif event.kind in (EV_EFI_VARIABLE_BOOT, EV_EFI_VARIABLE_BOOT2):
            variable = decode_variable(event.data)
            if is_boot_entry(variable):
                assert decode_load_option(variable.data).paths
            elif variable.name == "BootOrder":
                assert 2 * len(decode_boot_order(variable.data)) == len(variable.data)
