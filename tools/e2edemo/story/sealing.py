# SPDX-License-Identifier: Apache-2.0
"""A guest image with a secret in it is sealed in both layouts and uploaded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from e2edemo import guests
from e2edemo.chapter import Evidence, claim
from e2edemo.stage import Stage
from e2eguest import PROPERTIES

_LAYOUTS = ("main", "full")


def tell(stage: Stage) -> Evidence:
    source = guests.image_with_secret(stage)
    name, content = stage.secret_name.encode(), stage.secret.encode()
    claim(_holds(source, name), "the source image does not hold the secret's name")
    claim(_holds(source, content), "the source image does not hold the secret")
    evidence: Evidence = {"source": {"bytes": source.stat().st_size, "secret": stage.secret_name}}
    with ThreadPoolExecutor() as side_by_side:
        plain = side_by_side.submit(_upload_plain, stage, source)
        sealed = side_by_side.map(partial(_seal, stage, source), _LAYOUTS)
        evidence |= zip(_LAYOUTS, sealed, strict=True)
        plain.result()
    main, full = evidence["main"], evidence["full"]
    claim(not main["entry_found"], "main: the secret's directory entry can still be read")
    claim(not full["entry_found"], "full: the secret's directory entry can still be read")
    claim(not full["content_found"], "full: the secret can still be read")
    return evidence


def _seal(stage: Stage, source: Path, layout: str) -> Evidence:
    sealed = stage.work / f"sealed-{layout}.img"
    sealed.unlink(missing_ok=True)
    stage.openstack(
        "sealed", "image", "create", str(source), str(sealed), "--layout", layout,
        "--disk-format", "raw",
    )  # fmt: skip
    found = {
        "bytes": sealed.stat().st_size,
        "allocated": sealed.stat().st_blocks * 512,
        "entry_found": _holds(sealed, stage.secret_name.encode()),
        "content_found": _holds(sealed, stage.secret.encode()),
    }
    stage.say(f"{layout}: directory entry", "readable" if found["entry_found"] else "gone")
    stage.say(f"{layout}: content", "readable" if found["content_found"] else "gone")
    properties = [w for k, v in PROPERTIES.items() for w in ("--property", f"{k}={v}")]
    stage.openstack("sealed", "image", "upload", str(sealed), f"sealed-{layout}", *properties)
    return found


def _upload_plain(stage: Stage, source: Path) -> None:
    """The same guest unsealed, for the chapters about plain and unsealed servers."""
    properties = [w for k, v in PROPERTIES.items() for w in ("--property", f"{k}={v}")]
    qcow2 = guests.as_qcow2(stage, source)
    stage.openstack(
        "image", "create", "--disk-format", "qcow2", "--file", str(qcow2), *properties, "unsealed"
    )


def _holds(path: Path, text: bytes) -> bool:
    """Whether the file's bytes hold *text* anywhere."""
    step, keep = 16 * 1024 * 1024, len(text) - 1
    tail = b""
    with path.open("rb") as file:
        while block := file.read(step):
            if text in tail + block:
                return True
            tail = block[-keep:] if keep else b""
    return False
