# SPDX-License-Identifier: Apache-2.0
"""Quotes leave nothing behind: in the TPM, in the kernel, in memory.

A few thousand here; the full number by command, which takes more than the ten minutes that a test
has by default::

    E2ETRUST_LEAK_QUOTES=100000 .venv/bin/pytest -s --timeout 0 tests/functional/core/test_leaks.py
"""

from __future__ import annotations

import gc
import os
import secrets
from pathlib import Path

from e2etrust_core.evidence.quote import verify_quote
from e2etrust_core.suites import ECC_P256_SHA256
from e2etrust_core.tpm.device import open_tpm
from e2etrust_core.tpm.keys import create_ak
from e2etrust_core.tpm.quote import take_quote
from tests.functional.core.test_tpm import in_use

QUOTES = int(os.environ.get("E2ETRUST_LEAK_QUOTES", "2000"))
#: Quotes after which the allocators have what they will keep.
WARM_UP = 500
#: Bytes that are the allocators' own: 100 bytes a quote come to ten times that in 100,000.
SLACK = 1 << 20
SELECTION = {"sha256": [0, 7]}


def test_quotes_leak_no_handle_no_session_no_descriptor_and_no_memory(swtpm):
    with open_tpm(swtpm) as tpm:
        ak = create_ak(tpm, ECC_P256_SHA256, "ecc-p256")
        for _ in range(WARM_UP):
            take_quote(tpm, ak, secrets.token_bytes(20), SELECTION)
        gc.collect()
        handles, descriptors, memory = in_use(tpm), open_descriptors(), resident()
        for _ in range(QUOTES):
            nonce = secrets.token_bytes(20)
            quote = take_quote(tpm, ak, nonce, SELECTION)
        gc.collect()
        grown = resident() - memory
        print(f"{QUOTES} quotes: {grown} bytes more resident, {grown / QUOTES:.1f} each")
        verify_quote(quote, ak.public, nonce, SELECTION)
        assert in_use(tpm) == handles == []
        assert open_descriptors() == descriptors
        assert grown < SLACK


def open_descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def resident() -> int:
    """Return how many bytes of this process are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
