# SPDX-License-Identifier: Apache-2.0
"""The fuzzer's package is not installed: it lies in tools/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))
