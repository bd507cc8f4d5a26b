# SPDX-License-Identifier: Apache-2.0
"""The trust service: enrolment, challenges, appraisal, leases, launch records and keys."""
