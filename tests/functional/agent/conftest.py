# SPDX-License-Identifier: Apache-2.0
"""Fixtures of real things that the agent's tests stand on."""

from tests.functional.rabbitmq_fixture import rabbitmq
from tests.functional.swtpm_fixture import emulated_tpm, swtpm, swtpm_factory, tpm_stock

__all__ = ["emulated_tpm", "rabbitmq", "swtpm", "swtpm_factory", "tpm_stock"]
