# SPDX-License-Identifier: Apache-2.0
"""What happened is told to who asked for it: over the message bus, and to webhooks."""
