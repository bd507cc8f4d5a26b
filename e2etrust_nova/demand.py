# SPDX-License-Identifier: Apache-2.0
"""What flavor and image ask of a host: the names, and the reading of them."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping

from e2etrust_core.trust_names import TRUST_SPEC, TRUSTED_TRAIT

TRUSTED = "trusted"
TRAIT_SPEC = f"trait:{TRUSTED_TRAIT}"


class Demand(enum.Enum):
    """What is asked of the host."""

    NOTHING = "nothing"
    TRUSTED = "trusted"
    #: Something is asked that this release does not know: no host can be said to meet it.
    UNREADABLE = "unreadable"


def demand_of(extra_specs: Mapping[str, str], image_traits: Collection[str] = ()) -> Demand:
    """Return what a flavor's extra specs and an image's required traits ask.

    A value other than ``trusted`` (Nova takes any at microversions below 2.86, and flavors of
    long ago may hold ``untrusted``) is never read as asking nothing.
    """
    value = extra_specs.get(TRUST_SPEC)
    if value is not None and value != TRUSTED:
        return Demand.UNREADABLE
    if value == TRUSTED or extra_specs.get(TRAIT_SPEC) == "required":
        return Demand.TRUSTED
    return Demand.TRUSTED if TRUSTED_TRAIT in image_traits else Demand.NOTHING
