# SPDX-License-Identifier: Apache-2.0
"""Plug-in for the openstack command."""
