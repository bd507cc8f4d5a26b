# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-host-setup``: makes a compute host one that is attested, checks it, and undoes it.

``tree`` writes files below a root and remembers which are ours; ``items`` says what belongs on a
host; ``checks`` looks whether it works; ``main`` is the command.
"""
