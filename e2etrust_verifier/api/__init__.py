# SPDX-License-Identifier: Apache-2.0
"""The REST API, version 1: ``application`` is one table of routes, one file a resource."""
