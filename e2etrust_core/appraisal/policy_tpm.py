# SPDX-License-Identifier: Apache-2.0
"""The ``tpm`` section of a policy, read.

Fields, each a list of what is accepted: ``suites``, ``manufacturers`` (``INTC``, or ``id:`` and the
four bytes in hexadecimal), ``ek_accepted_by`` (``certificate``, ``inventory``), ``eks`` (SHA-256 of
each EK's TPMT_PUBLIC).
"""

from __future__ import annotations

import re
from typing import get_args

from e2etrust_core.appraisal.tpm_rules import AcceptedBy, TpmRules
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.ek_manufacturer import manufacturer_bytes
from e2etrust_core.suites import SUITES

MANUFACTURER = "id:[0-9A-Fa-f]{8}|[A-Za-z0-9 ]{1,4}"
EK_DIGEST = "[0-9a-fA-F]{64}"
ACCEPTED_BY: tuple[str, ...] = get_args(AcceptedBy)
_FIELDS = {"suites", "manufacturers", "ek_accepted_by", "eks"}
_MAX_LISTED = 4096


def parse_tpm(value: object) -> TpmRules:
    """Read the section.

    :raises PolicyError: a field that is unknown or wrong, or a section that asks nothing.
    """
    if not isinstance(value, dict) or not value or not value.keys() <= _FIELDS:
        raise PolicyError(f"tpm: a mapping with some of {', '.join(sorted(_FIELDS))}")
    found = {
        name: _listed(value[name], f"tpm: {name}", known)
        for name, known in _KNOWN.items()
        if name in value
    }
    makers, eks = found.get("manufacturers"), found.get("eks")
    return TpmRules(
        suites=found.get("suites"),
        manufacturers=None if makers is None else frozenset(map(manufacturer_bytes, makers)),
        accepted_by=found.get("ek_accepted_by"),
        eks=None if eks is None else frozenset(map(bytes.fromhex, eks)),
    )


_KNOWN = {
    "suites": "|".join(map(re.escape, SUITES)),
    "manufacturers": MANUFACTURER,
    "ek_accepted_by": "|".join(ACCEPTED_BY),
    "eks": EK_DIGEST,
}
_ENTRIES = {
    "suites": f"names of suites: {', '.join(SUITES)}",
    "manufacturers": "such as INTC, or id: and 8 hexadecimal digits",
    "ek_accepted_by": ", ".join(ACCEPTED_BY),
    "eks": "each of 64 hexadecimal digits (SHA-256)",
}


def _listed(value: object, where: str, known: str) -> frozenset[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_LISTED:
        raise PolicyError(f"{where}: a list of 1 to {_MAX_LISTED} entries")
    if not all(isinstance(one, str) and re.fullmatch(known, one) for one in value):
        raise PolicyError(f"{where}: {_ENTRIES[where.removeprefix('tpm: ')]}")
    return frozenset(value)
