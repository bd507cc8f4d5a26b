# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tests.functional.swtpm_fixture import emulated_tpm, swtpm, swtpm_factory, tpm_stock

__all__ = ["emulated_tpm", "swtpm", "swtpm_factory", "tpm_stock"]
