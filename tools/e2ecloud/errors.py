# SPDX-License-Identifier: Apache-2.0
"""What can go wrong when the cloud is started, stopped or asked."""

from __future__ import annotations

from pathlib import Path


class CloudError(Exception):
    """A step failed; ``log`` is the file that tells why, ``remedy`` what to do."""

    def __init__(self, reason: str, *, log: Path | None = None, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log
        self.remedy = remedy

    def explain(self, lines: int = 25) -> str:
        """The reason, the remedy and the last lines of the log that matters."""
        parts = [self.reason]
        if self.log is not None and self.log.exists():
            tail = self.log.read_text(errors="replace").splitlines()[-lines:]
            parts.append(f"last lines of {self.log}:")
            parts.extend(f"  | {line}" for line in tail)
        if self.remedy:
            parts.append(self.remedy)
        return "\n".join(parts)


class NotRunning(CloudError):
    """The cloud, or the host that was asked, is not up."""


class Busy(CloudError):
    """Another ``tools/cloud`` is changing this cloud right now."""
