# SPDX-License-Identifier: Apache-2.0
"""Configuration of the verifier, one module an option group."""

from __future__ import annotations

from e2etrust_verifier.conf.load import load

__all__ = ["load"]
