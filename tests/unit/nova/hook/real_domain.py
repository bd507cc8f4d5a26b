# SPDX-License-Identifier: Apache-2.0
"""Real domains for tests, and edits of them."""

from __future__ import annotations

from pathlib import Path

DIRECTORY = Path(__file__).with_name("domains")
INSTANCE = "7c0cd5a2-4a7f-4c3e-9d5e-3f1d1b1f2a10"
TRUST_SPEC = '<nova:extraSpec name="trust:trusted_host">trusted</nova:extraSpec>'


def domain_xml(step: str = "prepare-begin", *edits: tuple[str, str]) -> bytes:
    """The XML of a step with replacements, each of which must have something to replace."""
    text = (DIRECTORY / f"{step}.xml").read_text()
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


def plain_xml(step: str = "prepare-begin") -> bytes:
    """The same domain of a flavor that asks for nothing."""
    return domain_xml(step, (TRUST_SPEC, ""))
