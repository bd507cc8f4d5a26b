# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-appraise``: recorded evidence in a folder, appraised without any service."""
