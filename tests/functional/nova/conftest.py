# SPDX-License-Identifier: Apache-2.0
"""Nova's own functional fixtures under pytest, in native threads."""

from __future__ import annotations

import os

# Nova reads it when its test packages are imported.
os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "True")
