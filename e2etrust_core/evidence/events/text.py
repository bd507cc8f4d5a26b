# SPDX-License-Identifier: Apache-2.0
"""Words in an event log that its digests vouch for.

Firmware hashes the text itself (EV_EFI_ACTION: TCG PFP 1.05, 10.4.3); GRUB hashes a command and
logs it behind a word that says what it is (GRUB manual, "Measured Boot"), which no digest covers;
systemd-stub hashes a command line in UTF-16 without its closing zero, and the name of a section
in ASCII with it, and logs both in UTF-16 (systemd, TPM2_PCR_MEASUREMENTS).  Real logs count the
closing zero in, leave it out or cut it in half: the text is taken from what was hashed, not from
what was logged.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.event_log import INFORMATIVE, Event
from e2etrust_core.evidence.events.kinds import EV_IPL
from e2etrust_core.suites import HASHES

#: A text longer than this (in bytes as measured) is read by nobody and matched by nothing.
MAX_TEXT = 8192

_WORDS_OF_GRUB = (
    b"grub_cmd: ",
    b"kernel_cmdline: ",
    b"module_cmdline: ",
    b"grub_cmd ",
    b"grub_kernel_cmdline ",
)
_LONGEST_WORD = max(map(len, _WORDS_OF_GRUB))


def covered_text(event: Event, bank: str) -> str | None:
    """Return the text that *event*'s digest of *bank* is of; None where there is none.

    GRUB's leading word is left out: whoever rewrites the log can turn one into another.
    """
    digest = event.digests.get(bank)
    if digest is None or event.kind in INFORMATIVE:
        return None
    name = HASHES[bank].hashlib_name
    for measured in _could_be_measured(event):
        if hmac.compare_digest(digest, digest_of(name, measured)):
            return text_of(measured)
    return None


def encodings(text: str) -> Iterator[bytes]:
    """Yield what is hashed of *text* by what is known to measure texts.

    ``measured_text`` of a policy is compiled with it.
    """
    for encoded, zero in ((text.encode(), b"\0"), (text.encode("utf-16-le"), b"\0\0")):
        yield encoded
        yield encoded + zero


def _could_be_measured(event: Event) -> Iterator[bytes]:
    if len(event.data) > MAX_TEXT + _LONGEST_WORD:
        return
    yield event.data
    yield from _with_and_without_zero(event.data)
    if event.kind == EV_IPL:
        for word in _WORDS_OF_GRUB:
            if event.data.startswith(word):
                yield from _with_and_without_zero(event.data.removeprefix(word))


def _with_and_without_zero(logged: bytes) -> Iterator[bytes]:
    said = logged.rstrip(b"\0")
    if _is_wide(said):
        said += bytes(len(said) % 2)
        yield said
        yield said + b"\0\0"
        yield said[::2] + b"\0"
    else:
        yield said
        yield said + b"\0"


def _is_wide(raw: bytes) -> bool:
    return len(raw) > 1 and not any(raw[1::2])


def text_of(raw: bytes) -> str | None:
    """Return *raw* as text (UTF-8 or UTF-16), without closing zeros; None where it is none."""
    if not raw or len(raw) > MAX_TEXT:
        return None
    wide = len(raw) % 2 == 0 and _is_wide(raw)
    try:
        text = raw.decode("utf-16-le" if wide else "utf-8").rstrip("\0")
    except UnicodeDecodeError:
        return None
    plain = all(char.isprintable() or char in "\n\t" for char in text)
    return text if text and plain else None
