# SPDX-License-Identifier: Apache-2.0
"""keystone: fernet tokens, SQL identity."""

from __future__ import annotations

from e2ecloud.config.shared import Site
from e2ecloud.ini import Ini


def controller(site: Site) -> dict[str, Ini]:
    state = site.cloud.state
    return {
        "keystone/keystone.conf": {
            "DEFAULT": {"log_file": site.log_file("keystone")},
            "database": site.database("keystone"),
            "token": {"provider": "fernet"},
            "fernet_tokens": {"key_repository": str(state / "fernet")},
            "credential": {"key_repository": str(state / "credential-keys")},
            # Passwords here are 192 random bits: slow hashing would only cost start-up time.
            "identity": {"password_hash_rounds": 4},
        }
    }
