# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from e2etrust_core.messages import WrappedKey
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.keys import EkKind


def unwrap_key(tpm: Tpm, ek_kind: EkKind, wrapped: WrappedKey) -> bytes:
    """Open a key made by :func:`e2etrust_core.evidence.key_wrap.wrap_for_host`.

    :raises UnwrapRefused: made for another TPM, or the PCRs differ.
    """
    raise NotImplementedError
