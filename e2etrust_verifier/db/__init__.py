# SPDX-License-Identifier: Apache-2.0
"""What the verifier remembers: one module a noun, functions over a session."""
