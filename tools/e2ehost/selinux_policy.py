# SPDX-License-Identifier: Apache-2.0
"""The smallest SELinux policy that a kernel loads: one domain, which may do what it likes.

What is measured is a real policy's: its state, and its digest; what it permits is not looked at.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

POLICY = """
(handleunknown allow)
(mls true)
(policycap open_perms)
(sensitivity s0) (sensitivityorder (s0))
(category c0) (categoryorder (c0)) (sensitivitycategory s0 (c0))
(level low (s0)) (levelrange low_low (low low))
(class process (transition dyntransition)) (classorder (process))
(type kernel_t)
(role system_r) (roletype system_r kernel_t)
(role object_r) (roletype object_r kernel_t)
(user system_u) (userlevel system_u low) (userrange system_u low_low)
(userrole system_u system_r) (userrole system_u object_r)
(sid kernel) (sid security) (sid unlabeled) (sidorder (kernel security unlabeled))
(sidcontext kernel (system_u system_r kernel_t low_low))
(sidcontext security (system_u object_r kernel_t low_low))
(sidcontext unlabeled (system_u object_r kernel_t low_low))
(allow kernel_t kernel_t (process (transition dyntransition)))
"""
# What Linux 6.1 takes at most is 33; older kernels are not needed here.
_VERSION = "33"


def compile_policy(text: str) -> bytes:
    """The binary policy of *text* (CIL), by secilc.

    :raises subprocess.CalledProcessError: it is no policy; ``stderr`` says why.
    """
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name, "policy.cil"), Path(name, "policy")
        source.write_text(text)
        argv = ["secilc", "-c", _VERSION, "-o", str(output), "-f", "/dev/null", str(source)]
        subprocess.run(argv, check=True, capture_output=True, text=True)
        return output.read_bytes()
