# SPDX-License-Identifier: Apache-2.0
"""TCG event logs as a test wants them."""

from __future__ import annotations


def spec_id(vendor: bytes = b"", algorithms: bytes = b"\1\0\0\0\x0b\0\x20\0") -> bytes:
    head = b"Spec ID Event03\0" + bytes(4) + b"\0\2\0\2"
    return head + algorithms + bytes([len(vendor)]) + vendor


def event(pcr: int, kind: int, digest: bytes, data: bytes = b"") -> bytes:
    head = pcr.to_bytes(4, "little") + kind.to_bytes(4, "little") + b"\1\0\0\0\x0b\0"
    return head + digest + len(data).to_bytes(4, "little") + data


def agile_log(*events: bytes, header: bytes | None = None) -> bytes:
    header = spec_id() if header is None else header
    first = bytes(4) + b"\3\0\0\0" + bytes(20) + len(header).to_bytes(4, "little") + header
    return first + b"".join(events)
