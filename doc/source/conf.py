# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "doc" / "ext"))

from refusal_codes import table  # noqa: E402

project = "E2ETrust"
copyright = "the E2ETrust authors"
extensions = [
    "cliff.sphinxext",
    "openstackdocstheme",
    "oslo_config.sphinxext",
    "oslo_policy.sphinxext",
]
html_theme = "openstackdocs"
openstackdocs_auto_name = False
# Asked of the installed package: the theme would ask git, which an archive has not.
openstackdocs_auto_version = False
version = release = version_of("e2etrust")
openstackdocs_repo_name = "e2etrust"
openstackdocs_pdf_link = False
exclude_patterns = []

# The table of refusals is made from the code at every build, so it cannot be out of date.
(Path(__file__).parent / "admin" / "refusal-codes.inc").write_text(table(ROOT))

# What every command of cliff's takes is said once, in words.
autoprogram_cliff_application = "openstack"
autoprogram_cliff_ignored = [
    *("--help", "--format", "--column", "--quote", "--noindent", "--max-width", "--fit-width"),
    *("--print-empty", "--sort-column", "--sort-ascending", "--sort-descending", "--prefix"),
]
