# SPDX-License-Identifier: Apache-2.0
"""What a policy says of a host's mandatory access control, as values.

Linux security/selinux/ima.c measures SELinux's state and the digest of its loaded policy as
critical data: at each policy load, change of a boolean and change of enforcement.  Of AppArmor the
kernel measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Names of the measured buffers.
SELINUX_STATE = "selinux-state"
SELINUX_POLICY = "selinux-policy-hash"
MAC_BUFFERS = frozenset({SELINUX_STATE, SELINUX_POLICY})


@dataclass(frozen=True, slots=True)
class MacRules:
    """SELinux, enforcing since a policy was loaded.

    ``policies``: digests of /sys/fs/selinux/policy by the kernel's ima_hash, None: whichever is
    loaded; ``flags``: further flags of the state (policy capabilities, checkreqprot) and what they
    must be while a policy is loaded.
    """

    policies: frozenset[bytes] | None
    flags: Mapping[str, bool]
