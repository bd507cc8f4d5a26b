# SPDX-License-Identifier: Apache-2.0
"""Rules about what an event says: boot entries, partitions, command lines, shim's variables."""

from __future__ import annotations

from uuid import UUID

import pytest

from e2etrust_core.appraisal.errors import (
    EventMissing,
    EventNotCovered,
    EventRefused,
    EventUnknown,
)
from e2etrust_core.appraisal.event_checks import check_events
from e2etrust_core.appraisal.event_proposal import propose_rules
from e2etrust_core.appraisal.event_rules import DatabaseHas, FieldsLike, VariableLike
from e2etrust_core.appraisal.policy_events import events_document, parse_events
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.event_log import Event
from e2etrust_core.evidence.events.fields import words_of
from e2etrust_core.evidence.events.variables import IMAGE_SECURITY_DATABASE, SHIM_LOCK
from tests.unit.core.appraisal.test_event_rules import IPL, event, log, sha, variable
from tests.unit.core.evidence.events.test_boot_path import DISK, load_option, table
from tests.unit.core.evidence.events.test_decoding import node

BOOT, GPT, AUTHORITY = 0x80000002, 0x80000006, 0x800000E0
END = node(0x7F, 0xFF, b"")


def gpt(*kinds: UUID, disk: UUID = DISK) -> bytes:
    """A partition table of a disk whose identifiers, all of them, are *disk*."""
    return table(*kinds).replace(DISK.bytes_le, disk.bytes_le)


def path(name: str) -> bytes:
    return node(4, 4, (name + "\0").encode("utf-16-le")) + END


def boot_entry(
    name="Boot0001", file="\\EFI\\debian\\shimx64.efi", optional=b"", whole=False
) -> Event:
    data = load_option(path(file), optional)
    return event(1, BOOT, variable(name, data), None if whole else data)


def accepted(rule: dict, *events: Event) -> int:
    asks = parse_events({"pcrs": [events[0].pcr], "rules": [{"pcr": events[0].pcr, **rule}]})
    return check_events(asks, log(*events), "p").accepted


SHIM_ONLY = {
    "type": "EV_EFI_VARIABLE_BOOT",
    "each": {"path": ["\\EFI\\*\\shimx64.efi"], "optional_data": [""]},
}


def test_boot_entries_are_accepted_by_what_they_boot():
    rule = {**SHIM_ONLY, "times": [1, "any"]}
    assert accepted(rule, boot_entry(), boot_entry("Boot0002", "\\EFI\\sles\\shimx64.efi")) == 2


@pytest.mark.parametrize(
    "other", [boot_entry(file="\\EFI\\evil.efi"), boot_entry(optional=b"init=/bin/sh")]
)
def test_boot_entry_that_boots_something_else_is_refused(other):
    with pytest.raises(EventRefused):
        accepted(SHIM_ONLY, other)


def test_boot_entry_that_no_digest_covers_is_not_believed():
    story = Event(1, BOOT, {"sha256": sha(b"another")}, boot_entry().data)
    with pytest.raises(EventNotCovered):
        accepted(SHIM_ONLY, story)


def test_number_of_a_boot_entry_counts_only_where_it_was_hashed():
    rule = {"type": "EV_EFI_VARIABLE_BOOT", "each": {"entry": ["Boot0001"]}}
    assert accepted(rule, boot_entry(whole=True)) == 1
    with pytest.raises(EventNotCovered):
        accepted(rule, boot_entry())


def test_order_of_the_boot_entries():
    order = b"\1\0\0\0"
    told = event(1, BOOT, variable("BootOrder", order), order)
    rule = {"type": "EV_EFI_VARIABLE_BOOT", "each": {"order": ["Boot0001,*"]}}
    assert accepted(rule, told) == 1
    with pytest.raises(EventRefused):
        accepted({**rule, "each": {"order": ["Boot0000,*"]}}, told)
    with pytest.raises(EventUnknown):
        accepted(rule, boot_entry())


ESP, ROOT = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), UUID(int=7)


def test_partitions_are_accepted_by_type_and_a_missing_one_is_noticed():
    table = event(5, GPT, gpt(ESP, ROOT))
    rule = {
        "type": "EV_EFI_GPT_EVENT",
        "each": {"partition_type": [str(ESP), str(ROOT)]},
        "has": {"partition_type": [str(ESP)]},
    }
    assert accepted(rule, table) == 1
    assert accepted(rule, event(5, GPT, gpt(ESP))) == 1
    for other in (gpt(ROOT), gpt(ESP, UUID(int=8))):
        with pytest.raises(EventRefused):
            accepted(rule, event(5, GPT, other))


def test_partition_table_that_no_digest_covers_is_not_believed():
    rule = {"type": "EV_EFI_GPT_EVENT", "has": {"partition_type": [str(ESP)]}}
    with pytest.raises(EventNotCovered):
        accepted(rule, event(5, GPT, gpt(ESP), hashed=gpt(ROOT)))


CMDLINE = {
    "type": "EV_IPL",
    "each": {"word": ["/vmlinuz-*", "root=UUID=*", "ro", "quiet", 'dyndbg="*"']},
    "has": {"word": ["ro", "/vmlinuz-*"]},
}


@pytest.mark.parametrize(
    "text",
    [
        b"kernel_cmdline: /vmlinuz-6.1 root=UUID=1 ro quiet\0",
        b'kernel_cmdline: /vmlinuz-6.1 ro dyndbg="file a +p"\0',
    ],
)
def test_command_line_is_accepted_word_by_word(text):
    assert accepted(CMDLINE, event(8, IPL, text, text[16:-1])) == 1


@pytest.mark.parametrize(
    "text", [b"/vmlinuz-6.1 ro init=/bin/sh", b"/vmlinuz-6.1 quiet", b"ro quiet", b"root=UUID=1"]
)
def test_command_line_with_another_word_or_without_one_is_refused(text):
    with pytest.raises(EventUnknown):
        accepted(CMDLINE, event(8, IPL, text))


def test_command_line_in_words_that_no_digest_covers_is_not_believed():
    with pytest.raises(EventUnknown):
        accepted(CMDLINE, event(8, IPL, b"/vmlinuz-6.1 ro", b"/vmlinuz-6.1 init=/bin/sh"))


def test_words_of_a_command_line_are_as_linux_parts_them():
    told = ' a  b="c d"\te=f --  "x y" '
    assert list(words_of(told)) == ["a", 'b="c d"', "e=f", "--", '"x y"']


def test_content_that_the_log_only_names_is_accepted_by_what_was_measured():
    """shim logs a name and hashes the variable's contents."""
    moklist = event(14, IPL, b"MokListTrusted\0", b"\1")
    assert accepted({"type": "EV_IPL", "measured": ["01"]}, moklist) == 1
    with pytest.raises(EventUnknown):
        accepted({"type": "EV_IPL", "measured": ["00"]}, moklist)


def test_text_is_compiled_into_every_way_to_measure_it():
    phase = event(11, IPL, b"?", b"enter-initrd")
    wide = event(11, IPL, b"?", "enter-initrd\0".encode("utf-16-le"))
    rule = {"type": "EV_IPL", "measured_text": ["enter-initrd"], "digests": ["00" * 32], "times": 2}
    assert accepted(rule, phase, wide) == 2


def test_revocation_level_of_shim_is_a_text():
    level = event(7, AUTHORITY, variable("SbatLevel", b"sbat,1,2024010900\n", SHIM_LOCK))
    rule = {"type": "EV_EFI_VARIABLE_AUTHORITY", "variable": "SbatLevel", "like": ["sbat,1,2024*"]}
    assert accepted(rule, level) == 1
    with pytest.raises(EventRefused):
        accepted({**rule, "like": ["sbat,1,2025*"]}, level)
    story = event(7, AUTHORITY, level.data, hashed=variable("SbatLevel", b"sbat,1,1\n", SHIM_LOCK))
    with pytest.raises(EventNotCovered):
        accepted(rule, story)


CERTIFICATE = b"\x30\x82\x01\x00" + bytes(256)


@pytest.mark.parametrize(
    ("name", "vendor", "data", "entry"),
    [
        ("db", IMAGE_SECURITY_DATABASE, bytes(16) + CERTIFICATE, "x509:" + sha(CERTIFICATE).hex()),
        ("Shim", SHIM_LOCK, CERTIFICATE, "x509:" + sha(CERTIFICATE).hex()),
        ("db", IMAGE_SECURITY_DATABASE, bytes(16) + sha(b"image"), "sha256:" + sha(b"image").hex()),
    ],
)
def test_what_let_an_image_run_is_accepted_by_certificate_or_hash(name, vendor, data, entry):
    told = event(7, AUTHORITY, variable(name, data, vendor))
    rule = {"type": "EV_EFI_VARIABLE_AUTHORITY", "variable": name, "only": [entry]}
    assert accepted(rule, told) == 1
    with pytest.raises(EventRefused):
        accepted({**rule, "only": ["x509:" + "0" * 64]}, told)
    with pytest.raises(EventRefused):
        accepted(rule, event(7, AUTHORITY, variable(name, b"short", vendor)))


def test_what_is_proposed_holds_for_another_machine_that_was_set_up_alike():
    level = event(5, AUTHORITY, variable("SbatLevel", b"sbat,1,2024010900\n", SHIM_LOCK))
    cert = bytes(16) + CERTIFICATE
    shim = event(5, AUTHORITY, variable("db", cert, IMAGE_SECURITY_DATABASE))
    entry = boot_entry()
    moved = Event(5, entry.kind, entry.digests, entry.data)
    proposed = propose_rules(log(level, shim, moved, event(5, GPT, gpt(ESP))), "sha256", [5])
    found = [type(rule.accept) for rule in proposed.rules]
    assert found == [VariableLike, DatabaseHas, FieldsLike, FieldsLike]
    again = parse_events(events_document(proposed))
    assert again == proposed
    other = event(5, GPT, gpt(ESP, disk=UUID(int=99)))
    assert check_events(again, log(level, shim, moved, other), "p").unseen == 0
    with pytest.raises((EventMissing, EventRefused)):
        check_events(again, log(level, shim, moved, event(5, GPT, gpt(ESP, ROOT))), "p")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"each": {}}, "mapping of fields"),
        ({"each": {"colour": ["red"]}}, "no field is called 'colour'"),
        ({"has": {"path": []}}, "list of 1"),
        ({"has": {"path": [1]}}, "every pattern"),
        ({"each": {"path": ["*"]}, "digests": ["00" * 32]}, "one way"),
        ({"measured_text": []}, "may not be empty"),
        ({"measured": ["0"]}, "hexadecimal"),
    ],
)
def test_fields_that_are_wrong_are_refused_by_name(fields, told):
    with pytest.raises(PolicyError, match=told):
        accepted({"type": "EV_EFI_VARIABLE_BOOT", **fields}, boot_entry())
