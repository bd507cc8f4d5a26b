# SPDX-License-Identifier: Apache-2.0
"""What ``e2etrust-status upgrade check`` looks at, one module for each thing that an operator has.

Each function looks, changes nothing, and returns one sentence for each thing that is amiss, with
what to do about it; none, where all is well.
"""
