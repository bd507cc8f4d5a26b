# SPDX-License-Identifier: Apache-2.0
"""What the hook tells the disk server's process, and what it answers: two JSON lines on pipes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from e2etrust_nova.disk.model import AttachRequest
from e2etrust_nova.errors import DiskServerError

KEY_SIZE = 32


@dataclass(frozen=True, slots=True)
class Order:
    """One attach; the image key follows its line as raw bytes."""

    request: AttachRequest
    run_dir: Path

    def encode(self) -> bytes:
        """Return the line."""
        value = {
            "instance": self.request.instance,
            "disk": str(self.request.disk),
            "base": str(self.request.base),
            "header": self.request.header.hex(),
            "log": str(self.request.log_path) if self.request.log_path else None,
            "run_dir": str(self.run_dir),
        }
        return json.dumps(value).encode() + b"\n"


def decode(line: bytes) -> Order:
    """Read the line."""
    value = json.loads(line)
    log = Path(value["log"]) if value["log"] else None
    header = bytes.fromhex(value["header"])
    request = AttachRequest(
        value["instance"], Path(value["disk"]), Path(value["base"]), header, log
    )
    return Order(request, Path(value["run_dir"]))


def encode_answer(error: DiskServerError | None) -> bytes:
    """Return the line that ends an attach."""
    if error is None:
        return b"{}\n"
    said = {"code": error.code, "reason": error.reason, "remedy": error.remedy}
    return json.dumps({"error": said}).encode() + b"\n"


def check_answer(line: bytes) -> None:
    """Read the answer.

    :raises DiskServerError: the one that it tells of, or that there was no answer.
    """
    try:
        value = json.loads(line)
    except ValueError:
        raise DiskServerError("the disk server ended without an answer") from None
    if (error := value.get("error")) is not None:
        raise DiskServerError(error["reason"], code=error["code"], remedy=error["remedy"])
