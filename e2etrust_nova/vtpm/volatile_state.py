# SPDX-License-Identifier: Apache-2.0
"""Removes a vTPM's stale volatile state, which would bring old PCR values back."""

from __future__ import annotations

import os
from pathlib import Path

from e2etrust_nova.errors import VtpmError

STATE_ROOT = Path("/var/lib/libvirt/swtpm")
_SUFFIX = ".volatilestate"


def remove_stale(instance: str, root: Path = STATE_ROOT) -> int:
    """Remove the volatile state that lies there while no swtpm runs; return how many files.

    :raises VtpmError: it is there and cannot be removed.
    """
    directory = root / instance / "tpm2"
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(directory, flags)
    except FileNotFoundError:
        return 0
    except OSError as exc:
        raise VtpmError(f"vTPM state directory: {exc.strerror}") from exc
    try:
        names = [name for name in os.listdir(descriptor) if name.endswith(_SUFFIX)]
        for name in names:
            os.unlink(name, dir_fd=descriptor)
    except OSError as exc:
        raise VtpmError(f"stale vTPM state stays: {exc.strerror}") from exc
    finally:
        os.close(descriptor)
    return len(names)
