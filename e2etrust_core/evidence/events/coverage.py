# SPDX-License-Identifier: Apache-2.0
"""Which bytes of an event its digest vouches for.

An event's type and data are not extended into a PCR, its digest is: data may be believed only
where its hash *is* the digest.  Firmware differs in what it hashes of a variable, so both ways
are looked for.
"""

from __future__ import annotations

import hmac
from typing import Literal

from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import INFORMATIVE, Event
from e2etrust_core.evidence.events.kinds import VARIABLE_KINDS
from e2etrust_core.evidence.events.variables import decode_variable
from e2etrust_core.suites import HASHES

#: ``event``: all of the event's data; ``structure``: the UEFI_VARIABLE_DATA in it, and not all of
#: the bytes that were put behind; ``variable``: the data of the variable in it, and not its name
#: or vendor; ``nothing``: the digest is of other bytes, the data is only a story.
Covered = Literal["event", "structure", "variable", "nothing"]
#: Older shim logs six bytes behind a variable and hashes five of them.
_MOST_BEHIND = 16


def coverage(event: Event, bank: str) -> Covered:
    """Say what the digest of *bank* covers of *event*'s data.

    An informative event (EV_NO_ACTION, EVTYPE_PCRMAPPING) extends nothing, so nothing covers it.
    """
    digest = event.digests.get(bank)
    if digest is None or event.kind in INFORMATIVE:
        return "nothing"
    name = HASHES[bank].hashlib_name
    if hmac.compare_digest(digest, digest_of(name, event.data)):
        return "event"
    if event.kind in VARIABLE_KINDS:
        try:
            variable = decode_variable(event.data)
        except EventLogError:
            return "nothing"
        least = len(event.data) - len(variable.extra)
        for end in range(least, min(len(event.data), least + _MOST_BEHIND)):
            if hmac.compare_digest(digest, digest_of(name, event.data[:end])):
                return "structure"
        if hmac.compare_digest(digest, digest_of(name, variable.data)):
            return "variable"
    return "nothing"
