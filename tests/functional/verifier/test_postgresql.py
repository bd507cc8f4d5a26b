# SPDX-License-Identifier: Apache-2.0
"""What depends on the database most, on PostgreSQL: the schema, and who wins of two at once.

All tests of this folder run on it by ``E2ETRUST_TEST_DATABASES=postgresql``.
"""

from __future__ import annotations

import pytest

from tests.functional.verifier.test_attestation import (  # noqa: F401
    test_of_racing_workers_with_one_nonce_exactly_one_takes_it,
    test_old_rows_are_pruned_and_the_newest_stay,
    test_operator_policy_holds_a_repaired_host_until_it_is_approved,
    test_replayed_answer_is_refused_and_the_host_keeps_its_lease,
)
from tests.functional.verifier.test_enrolment import (  # noqa: F401
    test_of_two_enrolments_under_way_for_one_name_only_one_is_written,
)
from tests.functional.verifier.test_migrations import (  # noqa: F401 - tests and their fixture
    database,
    test_migrated_schema_equals_the_models,
    test_service_refuses_a_database_without_the_schema,
    test_sync_twice_changes_nothing_and_counts_on,
)
from tests.functional.verifier.test_purge import (  # noqa: F401
    filled,
    test_history_goes_and_what_counts_now_stays,
)

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
