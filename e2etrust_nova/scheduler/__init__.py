# SPDX-License-Identifier: Apache-2.0
"""Placing servers: the filter, its view of leases, and its question to the verifier.

Enable it in nova.conf of every scheduler::

    [filter_scheduler]
    available_filters = nova.scheduler.filters.all_filters
    available_filters = e2etrust_nova.scheduler.filters.TrustedHostFilter
    enabled_filters = ComputeFilter,...,TrustedHostFilter
"""
