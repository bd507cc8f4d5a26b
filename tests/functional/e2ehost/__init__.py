# SPDX-License-Identifier: Apache-2.0
"""Machines that play a compute host, booted for real."""
