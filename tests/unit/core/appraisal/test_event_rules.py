# SPDX-License-Identifier: Apache-2.0
"""Event rules: what they accept, and the ways of rewriting a log that they must see through."""

from __future__ import annotations

import hashlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from e2etrust_core.appraisal.errors import (
    EventMissing,
    EventNotCovered,
    EventRefused,
    EventRepeated,
    EventUnknown,
)
from e2etrust_core.appraisal.event_checks import check_events
from e2etrust_core.appraisal.event_proposal import propose_rules
from e2etrust_core.appraisal.policy import parse_policy, selection_of
from e2etrust_core.appraisal.policy_events import events_document, parse_events
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.errors import EventLogBankAbsent, EventLogError
from e2etrust_core.evidence.event_log import Event, EventLog, parse_event_log
from e2etrust_core.evidence.events.variables import EFI_GLOBAL, IMAGE_SECURITY_DATABASE
from e2etrust_core.evidence.replay import replay
from tests.vectors import ROOT

SEPARATOR, ACTION, IPL = 4, 0x80000007, 13
DRIVER_CONFIG, APPLICATION = 0x80000001, 0x80000003
NO_ACTION = 3
EXIT = b"Exit Boot Services Returned with Success"
KERNEL = hashlib.sha256(b"a kernel").digest()


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def event(pcr: int, kind: int, data: bytes, hashed: bytes | None = None) -> Event:
    return Event(pcr, kind, {"sha256": sha(data if hashed is None else hashed)}, data)


def variable(name: str, data: bytes, vendor=EFI_GLOBAL) -> bytes:
    sizes = len(name).to_bytes(8, "little") + len(data).to_bytes(8, "little")
    return vendor.bytes_le + sizes + name.encode("utf-16-le") + data


def log(*events: Event) -> EventLog:
    return EventLog(("sha256",), events, 0)


SECURE_BOOT = event(7, DRIVER_CONFIG, variable("SecureBoot", b"\1"))
SEPARATOR_7 = event(7, SEPARATOR, bytes(4))
SEPARATOR_4 = event(4, SEPARATOR, bytes(4))
LOADED = Event(4, APPLICATION, {"sha256": KERNEL}, b"where it was loaded to")
CALLED = event(4, ACTION, b"Calling EFI Application from Boot Option")
GOOD = (SECURE_BOOT, SEPARATOR_7, CALLED, SEPARATOR_4, LOADED)


RULES = {
    "pcrs": [4, 7],
    "rules": [
        {"type": "EV_SEPARATOR", "pcr": [4, 7], "data": ["00000000"]},
        {
            "type": "EV_EFI_VARIABLE_DRIVER_CONFIG",
            "pcr": 7,
            "variable": "SecureBoot",
            "data": ["01"],
        },
        {"type": "EV_EFI_ACTION", "pcr": 4, "like": ["Calling EFI Application *"]},
        {"type": "EV_EFI_BOOT_SERVICES_APPLICATION", "pcr": 4, "digests": [KERNEL.hex()]},
    ],
}


def rules(*more: dict, **fields):
    return parse_events({**RULES, "rules": [*RULES["rules"], *more], **fields})


def test_events_that_the_rules_name_are_accepted():
    found = check_events(rules(), log(*GOOD), "p")
    assert (found.accepted, found.unseen) == (5, 0)


@pytest.mark.parametrize("place", range(6))
def test_second_secure_boot_variable_is_refused_wherever_it_stands(place):
    again = [*GOOD]
    again.insert(place, SECURE_BOOT)
    with pytest.raises((EventRepeated, EventUnknown, EventRefused)):
        check_events(rules(), log(*again), "p")


def test_secure_boot_measured_after_the_separator_does_not_count():
    with pytest.raises(EventUnknown) as refused:
        check_events(rules(), log(SEPARATOR_7, SECURE_BOOT, *GOOD[2:]), "p")
    assert refused.value.where == "event 2 (PCR 7, EV_EFI_VARIABLE_DRIVER_CONFIG)"


def test_separator_under_another_type_still_ends_the_firmwares_part():
    hidden = event(7, ACTION, bytes(4))
    lenient = {"type": "EV_EFI_ACTION", "pcr": 7, "anything": True, "times": "any"}
    with pytest.raises(EventUnknown):
        check_events(rules(lenient), log(hidden, *GOOD), "p")


def test_second_separator_is_refused():
    with pytest.raises(EventRepeated, match="more often"):
        check_events(rules(), log(*GOOD, SEPARATOR_4), "p")


def test_event_of_no_rule_is_refused():
    with pytest.raises(EventUnknown) as refused:
        check_events(rules(), log(*GOOD, event(4, IPL, b"another loader")), "p")
    assert refused.value.where == "event 6 (PCR 4, EV_IPL)"


def test_secure_boot_that_is_off_is_refused_by_name():
    off = event(7, DRIVER_CONFIG, variable("SecureBoot", b"\0"))
    with pytest.raises(EventRefused, match="SecureBoot"):
        check_events(rules(), log(off, *GOOD[1:]), "p")


def test_secure_boot_of_length_0_is_not_secure_boot_on():
    gone = event(7, DRIVER_CONFIG, variable("SecureBoot", b""))
    with pytest.raises(EventRefused):
        check_events(rules(), log(gone, *GOOD[1:]), "p")


def test_words_that_no_digest_covers_are_not_believed():
    off = variable("SecureBoot", b"\0")
    told_on = event(7, DRIVER_CONFIG, variable("SecureBoot", b"\1"), hashed=off)
    with pytest.raises(EventNotCovered):
        check_events(rules(), log(told_on, *GOOD[1:]), "p")


def test_digest_of_the_contents_alone_does_not_vouch_for_the_variables_name():
    # Another variable that happens to hold 1, called SecureBoot by whoever wrote the log.
    renamed = event(7, DRIVER_CONFIG, variable("SecureBoot", b"\1"), hashed=b"\1")
    with pytest.raises(EventNotCovered):
        check_events(rules(), log(renamed, *GOOD[1:]), "p")


def test_separator_told_with_another_digest_is_not_believed():
    error = event(7, SEPARATOR, bytes(4), hashed=b"\xff" * 4)
    with pytest.raises(EventNotCovered):
        check_events(rules(), log(SECURE_BOOT, error, *GOOD[2:]), "p")


def test_informative_events_satisfy_no_rule():
    informative = Event(7, NO_ACTION, SECURE_BOOT.digests, SECURE_BOOT.data)
    with pytest.raises(EventMissing) as refused:
        check_events(rules(), log(informative, *GOOD[1:]), "p")
    assert refused.value.where == "PCR 7"


def test_missing_exit_of_boot_services_is_refused():
    wanted = {"type": "EV_EFI_ACTION", "pcr": 5, "text": [EXIT.decode()]}
    asks = rules(wanted, pcrs=[4, 5, 7])
    with pytest.raises(EventMissing, match="EV_EFI_ACTION"):
        check_events(asks, log(*GOOD), "p")
    assert check_events(asks, log(*GOOD, event(5, ACTION, EXIT)), "p").accepted == 6


def test_event_that_was_left_out_of_the_bank_is_refused():
    hole = Event(7, DRIVER_CONFIG, {"sha1": bytes(20)}, SECURE_BOOT.data)
    with pytest.raises(EventUnknown, match="not measured into bank"):
        check_events(rules(), log(*GOOD, hole), "p")


def test_log_without_the_rules_bank_is_refused():
    with pytest.raises(EventLogBankAbsent):
        check_events(rules(), EventLog(("sha1",), (), 0), "p")


def test_command_of_grub_is_told_without_the_word_no_digest_covers():
    said = event(8, IPL, b"grub_cmd: linux /vmlinuz quiet\0", hashed=b"linux /vmlinuz quiet")
    rule = {"type": "EV_IPL", "pcr": 8, "text": ["linux /vmlinuz quiet"]}
    asks = parse_events({"pcrs": [8], "rules": [rule]})
    assert check_events(asks, log(said), "p").accepted == 1
    with_the_word = {**rule, "text": ["grub_cmd: linux /vmlinuz quiet"]}
    with pytest.raises(EventUnknown):
        check_events(parse_events({"pcrs": [8], "rules": [with_the_word]}), log(said), "p")


def test_patterns_are_for_the_whole_text():
    rule = {"type": "EV_IPL", "pcr": 8, "like": ["linux /vmlinuz-* ro"]}
    asks = parse_events({"pcrs": [8], "rules": [rule]})
    check_events(asks, log(event(8, IPL, b"linux /vmlinuz-6.1 ro")), "p")
    for other in (b"echo; linux /vmlinuz-6.1 ro", b"linux /vmlinuz-6.1 ro init=/bin/sh"):
        with pytest.raises(EventUnknown):
            check_events(asks, log(event(8, IPL, other)), "p")


def test_brackets_in_a_pattern_are_themselves():
    rule = {"type": "EV_IPL", "pcr": 8, "like": ["[ -e (hd0,gpt?)/* ]"]}
    asks = parse_events({"pcrs": [8], "rules": [rule]})
    check_events(asks, log(event(8, IPL, b"[ -e (hd0,gpt1)/grub.cfg ]")), "p")
    with pytest.raises(EventUnknown):
        check_events(asks, log(event(8, IPL, b"e")), "p")


def test_separator_that_tells_of_an_error_ends_the_firmwares_part_and_is_no_separator():
    """PFP 1.05, 10.4.1: the digest is of the number 1, the data says what went wrong."""
    failed = event(7, SEPARATOR, b"out of memory", hashed=b"\1\0\0\0")
    with pytest.raises(EventUnknown) as refused:
        check_events(rules(), log(failed, *GOOD), "p")
    assert refused.value.where == "event 1 (PCR 7, EV_SEPARATOR)"
    lenient = {"type": "EV_SEPARATOR", "pcr": 7, "digests": [sha(b"\1\0\0\0").hex()]}
    with pytest.raises(EventUnknown, match="no rule") as refused:
        check_events(rules(lenient), log(failed, *GOOD), "p")
    assert refused.value.where == "event 2 (PCR 7, EV_EFI_VARIABLE_DRIVER_CONFIG)"


@pytest.mark.parametrize("kind", ["0x000005fe", 0x5FE])
def test_type_without_a_name_is_written_as_its_number(kind):
    strange = event(8, 0x5FE, b"what a launch of 2030 measures")
    rule = {"type": kind, "pcr": 8, "data": [strange.data.hex()]}
    asks = parse_events({"pcrs": [8], "rules": [rule]})
    assert check_events(asks, log(strange), "p").accepted == 1
    assert parse_events(events_document(propose_rules(log(strange), "sha256", [8]))).rules


def database(*hashes: bytes) -> bytes:
    kind = bytes.fromhex("2616c4c14c509240aca941f936934328")
    size = 28 + 48 * len(hashes)
    head = kind + size.to_bytes(4, "little") + bytes(4) + (48).to_bytes(4, "little")
    return head + b"".join(bytes(16) + one for one in hashes)


def forbidden(*hashes: bytes) -> Event:
    return event(7, DRIVER_CONFIG, variable("dbx", database(*hashes), IMAGE_SECURITY_DATABASE))


def test_revocations_that_must_be_there_are_looked_for():
    old, new = sha(b"old"), sha(b"new")
    rule = {
        "type": "EV_EFI_VARIABLE_DRIVER_CONFIG",
        "pcr": 7,
        "variable": "dbx",
        "including": [f"sha256:{new.hex()}"],
    }
    asks = rules(rule)
    check_events(asks, log(forbidden(old, new), *GOOD), "p")
    with pytest.raises(EventRefused, match="dbx"):
        check_events(asks, log(forbidden(old), *GOOD), "p")


def test_entries_that_are_not_allowed_are_refused():
    ours, theirs = sha(b"ours"), sha(b"theirs")
    rule = {
        "type": "EV_EFI_VARIABLE_DRIVER_CONFIG",
        "pcr": 7,
        "variable": "dbx",
        "only": [f"sha256:{ours.hex()}"],
    }
    check_events(rules(rule), log(forbidden(ours), *GOOD), "p")
    with pytest.raises(EventRefused):
        check_events(rules(rule), log(forbidden(ours, theirs), *GOOD), "p")


def test_what_is_accepted_unseen_is_counted():
    lenient = {"type": "EV_IPL", "pcr": 4, "anything": True, "times": "any"}
    found = check_events(rules(lenient), log(*GOOD, event(4, IPL, b"what?")), "p")
    assert (found.accepted, found.unseen) == (6, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rules": []}, "rules"),
        ({"bank": "md5"}, "bank"),
        ({"pcrs": [24]}, "pcrs"),
        ({"pcrs": [True]}, "pcrs"),
        ({"pcrs": [7]}, "does not name"),
        ({"more": 1}, "unknown field 'more'"),
    ],
)
def test_section_that_is_wrong_is_refused_by_name(change, told):
    with pytest.raises(PolicyError, match=told):
        parse_events({**RULES, **change})


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"type": "EV_WHATEVER", "digests": ["00" * 32]}, "type"),
        ({"digests": ["00"]}, "digests"),
        ({"digests": []}, "may not be empty"),
        ({}, "one way"),
        ({"digests": ["00" * 32], "data": ["00"]}, "one way"),
        ({"anything": False}, "anything"),
        ({"variable": "SecureBoot", "data": ["01"]}, "type of variables"),
        ({"data": ["0"]}, "hexadecimal"),
        ({"data": ["00"], "times": 0}, "times"),
        ({"data": ["00"], "times": [2, 1]}, "times"),
        ({"data": ["00"], "phase": "later"}, "phase"),
        ({"only": ["sha256:" + "0" * 64]}, "about a variable"),
        ({"vendor": "0"}, "one way"),
        (["type"], "a mapping"),
    ],
)
def test_rule_that_is_wrong_is_refused_by_name(rule, told):
    if isinstance(rule, dict):
        rule = {"type": "EV_SEPARATOR", "pcr": 4, **rule}
    with pytest.raises(PolicyError, match=told):
        rules(rule)


def test_variable_of_an_unknown_vendor_needs_its_guid():
    rule = {"type": "EV_EFI_VARIABLE_BOOT", "pcr": 4, "variable": "Ours", "data": [""]}
    with pytest.raises(PolicyError, match="vendor"):
        rules(rule)
    rules({**rule, "vendor": str(EFI_GLOBAL)})


def test_rules_that_look_at_nothing_are_no_policy():
    lenient = {"type": "EV_IPL", "pcr": 4, "anything": True, "times": 1}
    optional = {"type": "EV_SEPARATOR", "pcr": 4, "data": ["00000000"], "times": "optional"}
    with pytest.raises(PolicyError, match="none of them asks"):
        parse_events({"pcrs": [4], "rules": [lenient, optional]})


def test_policy_with_event_rules_needs_no_values_and_asks_for_the_ruled_pcrs():
    text = yaml.safe_dump({"name": "p", "hosts": ["*"], "events": RULES})
    policy = parse_policy(text)
    assert policy.wants_event_log
    assert selection_of(policy) == {"sha256": [4, 7]}


def logs():
    folder = ROOT / "public" / "eventlogs"
    found = [*folder.glob("ibmtss/*.log"), *folder.glob("tpm2-tools/*.bin")]
    return sorted([*found, *ROOT.glob("*/bios_log")])


@pytest.mark.parametrize("path", logs(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_rules_proposed_of_a_real_log_accept_it_and_no_longer_one(path):
    try:
        read = parse_event_log(path.read_bytes())
    except EventLogError:
        pytest.skip("refused whole")
    bank = "sha256" if "sha256" in read.banks else read.banks[0]
    pcrs = sorted({e.pcr for e in read.events if e.kind != NO_ACTION and bank in e.digests})
    if not pcrs:
        pytest.skip("nothing measured")
    try:
        proposed = propose_rules(read, bank, pcrs)
    except EventUnknown:
        pytest.skip("firmware left the bank out of an event")
    again = parse_events(yaml.safe_load(yaml.safe_dump(events_document(proposed))))
    assert again == proposed
    assert check_events(again, read, "p").unseen == 0
    assert_every_change_is_refused(again, read, bank)


def assert_every_change_is_refused(accepted, read: EventLog, bank: str) -> None:
    """Take each measured event out, and put each in a second time."""
    measured = [n for n, e in enumerate(read.events) if e.kind != NO_ACTION]
    before = replay(read, bank)
    for n in measured:
        for changed in (
            (*read.events[:n], *read.events[n + 1 :]),
            (*read.events[: n + 1], *read.events[n:]),
        ):
            other = EventLog(read.banks, changed, read.startup_locality)
            assert replay(other, bank) != before
            with pytest.raises((EventMissing, EventRepeated, EventUnknown, EventRefused)):
                check_events(accepted, other, "p")


@settings(max_examples=200)
@given(st.integers(0, 4), st.binary(max_size=60), st.sampled_from([SEPARATOR, ACTION, IPL, 1]))
def test_no_rewriting_of_types_and_data_makes_an_unknown_digest_accepted(place, data, kind):
    """The replay stays the same: only what is not hashed changes, and one digest is strange."""
    strange = sha(b"what really ran")
    events = [*GOOD]
    events[place] = Event(events[place].pcr, kind, {"sha256": strange}, data)
    with pytest.raises((EventMissing, EventUnknown, EventNotCovered, EventRefused, EventRepeated)):
        check_events(rules(), log(*events), "p")
