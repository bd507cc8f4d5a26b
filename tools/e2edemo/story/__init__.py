# SPDX-License-Identifier: Apache-2.0
"""The chapters, one file each."""
