# SPDX-License-Identifier: Apache-2.0
"""What an operator sets in nova.conf, group ``[e2etrust]``."""
