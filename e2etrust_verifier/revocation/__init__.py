# SPDX-License-Identifier: Apache-2.0
"""What Nova is asked to do about hosts that are not trusted, by the operator's rule.

Off by default: without it a host's lease ends, and no server starts there.
"""
