# SPDX-License-Identifier: Apache-2.0
"""Programs: parse, build, run."""
