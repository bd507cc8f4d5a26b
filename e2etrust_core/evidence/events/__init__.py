# SPDX-License-Identifier: Apache-2.0
"""What the events of a TCG event log say, as values; and which of it a digest vouches for."""
