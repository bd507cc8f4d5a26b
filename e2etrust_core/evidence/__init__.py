# SPDX-License-Identifier: Apache-2.0
"""Evidence: quotes and event logs, decoded and checked, without any opinion on what is good."""
