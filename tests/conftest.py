# SPDX-License-Identifier: Apache-2.0
"""Native threads for everything: eventlet is refused before any library can import it.

Nova's test packages insist on it (they fail if somebody imported eventlet before them), and
nothing of ours may lean on eventlet anyway.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "True")

# Absent where the oldest versions of libraries are tried (tox -e lower-constraints).
if find_spec("nova") is not None:
    from nova import monkey_patch

    monkey_patch.patch()

from hypothesis import settings  # noqa: E402

from e2etrust_core import crypto  # noqa: E402

# In tests every SM2 and SM3 check is made by two implementations that must agree.
crypto.select("openssl", second_opinion="gmssl")

# A slow machine is no fault: hypothesis would fail an example that takes 0.2 s.
settings.register_profile("e2etrust", deadline=None)
settings.load_profile("e2etrust")
