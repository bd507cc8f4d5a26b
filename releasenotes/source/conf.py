# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration of the release notes."""

project = "E2ETrust Release Notes"
copyright = "the E2ETrust authors"
extensions = ["openstackdocstheme", "reno.sphinxext"]
html_theme = "openstackdocs"
openstackdocs_auto_name = False
openstackdocs_repo_name = "e2etrust"
