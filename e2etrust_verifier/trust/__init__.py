# SPDX-License-Identifier: Apache-2.0
"""The decisions: enrolment, attestation, leases, launches.  No transport, no HTTP."""
