# SPDX-License-Identifier: Apache-2.0
"""Words in an event log that its digests vouch for.

Firmware hashes the text itself (EV_EFI_ACTION: TCG PFP 1.05, 10.4.3); GRUB hashes a command and
logs it behind a word that says what it is (GRUB manual, "Measured Boot"), which no digest covers;
systemd-stub hashes UTF-16 text as it logs it (systemd-stub(7)).
"""

from __future__ import annotations

import hmac

from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.event_log import Event
from e2etrust_core.evidence.events.coverage import coverage
from e2etrust_core.evidence.events.kinds import EV_IPL
from e2etrust_core.suites import HASHES

#: A text longer than this is read by nobody and matched by nothing.
MAX_TEXT = 8192

_WORDS_OF_GRUB = (
    b"grub_cmd: ",
    b"kernel_cmdline: ",
    b"module_cmdline: ",
    b"grub_cmd ",
    b"grub_kernel_cmdline ",
)


def covered_text(event: Event, bank: str) -> str | None:
    """Return the text of *event* that its digest of *bank* covers; None where there is none.

    GRUB's leading word is left out: whoever rewrites the log can turn one into another.
    """
    if coverage(event, bank) == "event":
        return _text(event.data)
    digest = event.digests.get(bank)
    if event.kind != EV_IPL or digest is None:
        return None
    for word in _WORDS_OF_GRUB:
        said = event.data.removeprefix(word).rstrip(b"\0")
        name = HASHES[bank].hashlib_name
        if event.data.startswith(word) and hmac.compare_digest(digest, digest_of(name, said)):
            return _text(said)
    return None


def _text(raw: bytes) -> str | None:
    if not raw or len(raw) > MAX_TEXT:
        return None
    wide = len(raw) % 2 == 0 and not any(raw[1::2])
    try:
        text = raw.decode("utf-16-le" if wide else "utf-8").rstrip("\0")
    except UnicodeDecodeError:
        return None
    plain = all(char.isprintable() or char in "\n\t" for char in text)
    return text if text and plain else None
