# SPDX-License-Identifier: Apache-2.0
"""A quote as rows: what a reader of a verdict sees of each step of its verification."""

from __future__ import annotations

from functools import partial

from e2etrust_core.appraisal.checks import Rows
from e2etrust_core.evidence.model import PcrSelection, Quote
from e2etrust_core.evidence.quote import QUOTE_CHECKS, QuoteCase, QuoteFacts, check_ak, open_quote
from e2etrust_core.suites import Suite

STRUCTURE = "quote-structure"
_HELD = {
    STRUCTURE: "the quote is one that a TPM made",
    "quote-signer": "the quote names this host's attestation key",
    "quote-signature": "this host's attestation key signed the quote",
    "quote-nonce": "the quote answers this challenge and what was sent with it",
    "quote-selection": "the quote covers every PCR that is asked for",
    "quote-digest": "the PCR values are those quoted",
}
#: A quote that fails one of these was not made by this host for this challenge.
GENUINE = (STRUCTURE, "quote-signer", "quote-signature", "quote-nonce")


def add_quote_rows(
    rows: Rows,
    quote: Quote,
    ak_public: bytes,
    suite: Suite,
    qualifying: bytes,
    selection: PcrSelection,
    ek_public: bytes | None,
) -> QuoteFacts | None:
    """Add a row for each step; return what the quote says if every one of them passed."""

    def open_it() -> QuoteCase:
        check_ak(ak_public, suite)
        return open_quote(quote, ak_public, qualifying, selection, ek_public)

    case = rows.run(STRUCTURE, _HELD[STRUCTURE], open_it)
    for name, check in QUOTE_CHECKS:
        if case is None or not rows.all_passed:
            rows.not_reached(name, rows.first_failed)
        else:
            rows.run(name, _HELD[name], partial(check, case))
    return case.facts() if case is not None and rows.all_passed else None
