# SPDX-License-Identifier: Apache-2.0
"""Keys that a verifier signs with, and the file by which others know them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from e2etrust_core.crypto.sm2_signing import generate_key
from e2etrust_verifier.trust.records import RecordSigner
from e2etrust_verifier.trust.sm2_records import Sm2Signer


def new_signer() -> RecordSigner:
    return RecordSigner(ec.generate_private_key(ec.SECP256R1()))


def new_sm2_signer() -> Sm2Signer:
    return Sm2Signer(generate_key())


def pin(path: Path, *signers: Any) -> Path:
    """Write the key set of *signers*."""
    path.write_text(json.dumps({"keys": [signer.jwk for signer in signers]}))
    return path
