# SPDX-License-Identifier: Apache-2.0
"""``tools/cloud``."""

import sys

from e2ecloud.cli import main

sys.exit(main())
