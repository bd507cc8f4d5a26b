# SPDX-License-Identifier: Apache-2.0
"""All options, for oslo-config-generator."""

from __future__ import annotations

from typing import Any

from e2etrust_verifier.conf import (
    account,
    crypto,
    placement,
    revocation,
    service_auth,
    verifier,
    webhook,
)


def list_opts() -> list[tuple[str, list[Any]]]:
    return [
        (verifier.GROUP.name, verifier.OPTIONS),
        (crypto.GROUP.name, crypto.OPTIONS),
        (service_auth.GROUP.name, account.options()),
        (placement.GROUP.name, [*placement.OPTIONS, *account.service_options()]),
        (revocation.GROUP.name, revocation.OPTIONS),
        (revocation.NOVA.name, account.service_options()),
        (webhook.GROUP.name, webhook.OPTIONS),
        (webhook.OUTBOX.name, webhook.OUTBOX_OPTIONS),
    ]
