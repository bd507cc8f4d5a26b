# SPDX-License-Identifier: Apache-2.0
"""The version of the REST API: the second number goes up with each addition."""

API_VERSION = "1.5"
