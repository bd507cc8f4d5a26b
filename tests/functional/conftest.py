# SPDX-License-Identifier: Apache-2.0
"""The real things that functional tests stand on: one of each for all tests of a run."""

from tests.functional.galera_fixture import galera
from tests.functional.mariadb_fixture import mariadb
from tests.functional.postgresql_fixture import postgresql
from tests.functional.rabbitmq_fixture import rabbitmq
from tests.functional.swtpm_fixture import chip, emulated_tpm, swtpm, swtpm_factory, tpm_stock

__all__ = [
    "chip",
    "emulated_tpm",
    "galera",
    "mariadb",
    "postgresql",
    "rabbitmq",
    "swtpm",
    "swtpm_factory",
    "tpm_stock",
]
