# SPDX-License-Identifier: Apache-2.0
"""``tools/guest-image``: build the guest's disk."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path

from e2eguest.image import GuestImage, build


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/guest-image", description="Build the guest image.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--secret", help="text of the tenant's secret file; random without it")
    parser.add_argument("--size", type=int, default=1024, metavar="MIB")
    parser.add_argument("--cache", type=Path, default=Path(".cloud/cache"))
    arguments = parser.parse_args()
    secret = arguments.secret or f"tenant secret {secrets.token_hex(16)}"
    image = GuestImage(secret.encode() + b"\n", arguments.size)
    print(build(image, arguments.output.resolve(), arguments.cache.resolve()))


if __name__ == "__main__":
    main()
