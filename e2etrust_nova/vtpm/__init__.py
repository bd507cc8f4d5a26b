# SPDX-License-Identifier: Apache-2.0
"""Puts a launch measurement into a server's vTPM as H-CRTM, before its firmware runs."""
