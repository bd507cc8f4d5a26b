# SPDX-License-Identifier: Apache-2.0
"""Texts that a digest vouches for, as real loaders hash and log them."""

from __future__ import annotations

import hashlib

import pytest

from e2etrust_core.evidence.event_log import EV_NO_ACTION, Event
from e2etrust_core.evidence.events.coverage import coverage
from e2etrust_core.evidence.events.kinds import EV_EFI_VARIABLE_AUTHORITY, EV_IPL
from e2etrust_core.evidence.events.text import MAX_TEXT, covered_text, encodings
from tests.unit.core.evidence.events.test_decoding import variable


def ipl(data: bytes, measured: bytes, kind: int = EV_IPL) -> Event:
    return Event(8, kind, {"sha256": hashlib.sha256(measured).digest()}, data)


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


@pytest.mark.parametrize(
    ("data", "measured", "text"),
    [
        (b"grub_cmd: set a=b\0", b"set a=b", "set a=b"),
        (b"grub_cmd set a=b\0", b"set a=b\0", "set a=b"),
        (b"kernel_cmdline: /vmlinuz ro\0", b"/vmlinuz ro", "/vmlinuz ro"),
        (b"grub_kernel_cmdline /vmlinuz ro\0", b"/vmlinuz ro", "/vmlinuz ro"),
        (wide("quiet ro\0"), wide("quiet ro\0"), "quiet ro"),
        (wide("quiet ro\0"), wide("quiet ro"), "quiet ro"),
        # Logged with half a closing zero, as systemd-boot of 2021 did.
        (wide("quiet ro\0")[:-1], wide("quiet ro\0"), "quiet ro"),
        # The name of a section is logged wide and measured narrow (systemd-stub).
        (wide(".linux\0"), b".linux\0", ".linux"),
    ],
)
def test_text_is_what_was_hashed(data, measured, text):
    assert covered_text(ipl(data, measured), "sha256") == text


@pytest.mark.parametrize(
    ("data", "measured"),
    [
        (b"grub_cmd: set a=b\0", b"set a=c"),
        (wide(".linux\0"), b"the kernel itself"),
        (b"MokListTrusted\0", b"\1"),
        (b"(hd0,gpt1)/grub.cfg\0", b"set timeout=5"),
        (b"", b""),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"a" * (MAX_TEXT + 1), b"a" * (MAX_TEXT + 1)),
    ],
)
def test_data_that_only_names_what_was_hashed_is_no_text(data, measured):
    assert covered_text(ipl(data, measured), "sha256") is None


def test_informative_event_has_no_text():
    assert covered_text(ipl(b"quiet", b"quiet", EV_NO_ACTION), "sha256") is None


def test_words_of_grub_are_words_in_its_own_events_only():
    assert covered_text(ipl(b"grub_cmd: boot", b"boot", kind=5), "sha256") is None


def test_every_encoding_of_a_text_is_found_again():
    for measured in encodings("root=/dev/sda1 ro"):
        assert covered_text(ipl(measured, measured), "sha256") == "root=/dev/sda1 ro"


def test_bytes_that_firmware_put_behind_a_variable_are_told_from_what_was_hashed():
    structure = variable("Shim", b"cert")
    event = ipl(structure + b"\xaf", structure, EV_EFI_VARIABLE_AUTHORITY)
    assert coverage(event, "sha256") == "structure"


@pytest.mark.parametrize("hashed", [0, 1, 5, 6])
def test_bytes_behind_a_variable_of_which_some_were_hashed(hashed):
    """shim of 2019 logs six bytes behind the certificate, and hashes five of them."""
    structure, behind = variable("Shim", b"cert"), bytes(5) + b"\xaf"
    event = ipl(structure + behind, structure + behind[:hashed], EV_EFI_VARIABLE_AUTHORITY)
    assert coverage(event, "sha256") == ("event" if hashed == 6 else "structure")


def test_half_a_variable_that_was_hashed_covers_nothing():
    structure = variable("Shim", b"cert")
    event = ipl(structure, structure[:-1], EV_EFI_VARIABLE_AUTHORITY)
    assert coverage(event, "sha256") == "nothing"
