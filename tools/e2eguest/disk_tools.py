# SPDX-License-Identifier: Apache-2.0
"""The file systems' own tools, run so that a failure says what they said."""

from __future__ import annotations

import os
import subprocess

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "MTOOLS_SKIP_CHECK": "1"}


def run(*argv: str) -> None:
    try:
        subprocess.run(argv, check=True, capture_output=True, env={**os.environ, **_ENVIRONMENT})
    except subprocess.CalledProcessError as error:
        detail = error.stderr.decode(errors="replace").strip()
        raise subprocess.CalledProcessError(
            error.returncode, [*argv[:1], detail], error.stdout, error.stderr
        ) from error
