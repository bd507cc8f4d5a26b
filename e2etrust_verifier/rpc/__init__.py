# SPDX-License-Identifier: Apache-2.0
"""The verifier's edge on the message bus (oslo.messaging)."""
