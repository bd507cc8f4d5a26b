# SPDX-License-Identifier: Apache-2.0
"""The operators' page, as files: :mod:`e2etrust_verifier.api.dashboard` serves them."""
