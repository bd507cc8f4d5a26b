# SPDX-License-Identifier: Apache-2.0
"""The names under which trust is asked for and shown, and the one reading of them.

Filter, weigher, hook and agent all read flavors, images and aggregates with these functions, so
that the gate sees the demand that placed the server.  Light, for the hook imports it too.
"""

from __future__ import annotations

#: Flavor extra spec, known to operators from Nova's TrustedFilter (removed in Pike).
TRUST_SPEC = "trust:trusted_host"
_NAMESPACE = "trust:"
#: Its one value.
TRUSTED = "trusted"
#: Flavor extra spec: the least level of the host's policy.  It asks for trust by itself.
MIN_LEVEL_SPEC = "trust:min_level"
#: Placement trait of a host that holds a lease.
TRUSTED_TRAIT = "CUSTOM_E2ETRUST_TRUSTED"
#: Placement traits of a host whose lease has that level or a higher one.
LEVEL_TRAITS = {level: f"CUSTOM_E2ETRUST_LEVEL_{level}" for level in range(1, 10)}

#: A least level that asks nothing of the host.
NOTHING = 0
LOWEST_LEVEL, HIGHEST_LEVEL = 1, 9
#: The least level where something is asked that this release does not know: no host meets it.
UNREADABLE = HIGHEST_LEVEL + 1

_TRAIT_LEVELS = {trait: level for level, trait in LEVEL_TRAITS.items()} | {TRUSTED_TRAIT: 1}


def level_of_spec(key: str, value: str) -> int:
    """Return the least level that one extra spec (or one metadata item of an aggregate) asks.

    A key or value of ours that nobody knows (Nova takes any at microversions below 2.86, and
    flavors of long ago may hold ``untrusted``) is never read as asking nothing.
    """
    if is_ours(key):
        return _level_of_ours(key.strip().lower(), value)
    group, _, trait = key.partition(":")
    # Also numbered request groups: trait1:NAME, trait_MINE:NAME.
    return level_of_trait(trait) if group.startswith("trait") and value == "required" else NOTHING


def is_ours(key: str) -> bool:
    """Whether an extra spec, or a metadata item of an aggregate, is in our namespace.

    Nova keeps large letters and blanks in keys: who looks at the flavor sees no difference.
    """
    return key.strip().lower().startswith(_NAMESPACE)


def level_of_trait(trait: str) -> int:
    """Return the least level that a required trait asks."""
    return _TRAIT_LEVELS.get(trait, NOTHING)


def _level_of_ours(key: str, value: str) -> int:
    if key == TRUST_SPEC:
        return LOWEST_LEVEL if value == TRUSTED else UNREADABLE
    return _least_level(value) if key == MIN_LEVEL_SPEC else UNREADABLE


def _least_level(value: str) -> int:
    # As Nova's validator reads it; its API and we must not differ.
    try:
        level = int(value)
    except ValueError:
        return UNREADABLE
    return level if LOWEST_LEVEL <= level <= HIGHEST_LEVEL else UNREADABLE
