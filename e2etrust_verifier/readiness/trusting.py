# SPDX-License-Identifier: Apache-2.0
"""Options that trust more than they need to."""

from __future__ import annotations

from collections.abc import Iterator

from oslo_config import cfg

#: Evidence of that age counts as of now: a host may quote while it is good, and answer later.
_LONG_NONCE = 300


def trusting(conf: cfg.ConfigOpts) -> list[str]:
    """Name what is set so, or left so."""
    return list(_trusting(conf.verifier))


def _trusting(chosen: cfg.ConfigOpts) -> Iterator[str]:
    if chosen.new_hosts == "automatic":
        yield (
            "[verifier] new_hosts = automatic: any machine with a TPM of those makers takes a name"
            " that is free, and may be trusted: set expected, or operator"
        )
    if chosen.nonce_lifetime > _LONG_NONCE:
        yield (
            f"[verifier] nonce_lifetime = {chosen.nonce_lifetime:g}: a host that goes bad answers"
            f" for as long with quotes from before: set {_LONG_NONCE} or less"
        )
