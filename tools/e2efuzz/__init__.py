# SPDX-License-Identifier: Apache-2.0
"""Fuzzing of what reads a hostile host's bytes: ``tools/fuzz``.

``targets`` names the readers and their seeds, ``mutation`` alters inputs, ``engine`` runs them and
keeps those that reach lines not reached before.
"""
