# SPDX-License-Identifier: Apache-2.0
"""Appraisal: policy and evidence in, a verdict with one row per check out.  Pure functions."""
