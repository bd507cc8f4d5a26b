# SPDX-License-Identifier: Apache-2.0
"""Writes IMA lists as the kernel does (ima_template.c), for tests."""

from __future__ import annotations

import hashlib


def field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def body(*fields: bytes) -> bytes:
    return b"".join(map(field, fields))


def line(template: str, data: bytes, *, pcr: int = 10, digest: bytes | None = None) -> bytes:
    """One entry of binary_runtime_measurements."""
    if digest is None:
        digest = hashlib.sha1(data).digest()
    return pcr.to_bytes(4, "little") + digest + field(template.encode()) + field(data)


def file_digest(content: bytes, algorithm: str = "sha256") -> bytes:
    return algorithm.encode() + b":\0" + hashlib.new(algorithm, content).digest()


def ng(path: str, content: bytes = b"x") -> bytes:
    return line("ima-ng", body(file_digest(content), path.encode() + b"\0"))


def sig(path: str, content: bytes = b"x", signature: bytes = b"") -> bytes:
    return line("ima-sig", body(file_digest(content), path.encode() + b"\0", signature))


def buf(name: str, content: bytes) -> bytes:
    return line("ima-buf", body(file_digest(content), name.encode() + b"\0", content))


def unbuffered(path: str, content: bytes = b"x") -> bytes:
    """A file's entry under ima_template=ima-buf."""
    return line("ima-buf", body(file_digest(content), path.encode() + b"\0", b""))


def modsig(path: str, content: bytes = b"x", appended: bytes = b"") -> bytes:
    """A file with an appended signature *appended* (PKCS #7), over its contents without that."""
    without = file_digest(content) if appended else b""
    fields = (file_digest(content), path.encode() + b"\0", b"", without, appended)
    return line("ima-modsig", body(*fields))


def evm(path: str, content: bytes = b"x", *, mode: int = 0o100644) -> bytes:
    """A file with what EVM's portable signature is over; there is none."""
    names, label = b"security.selinux", b"system_u:object_r:bin_t:s0\0"
    fields = (b"", names + b"\0", len(label).to_bytes(4, "little"), label, bytes(4), bytes(4))
    head = (file_digest(content), path.encode() + b"\0")
    return line("evm-sig", body(*head, *fields, mode.to_bytes(2, "little")))


def violation(path: str, template: str = "ima-ng") -> bytes:
    data = body(b"sha256:\0" + bytes(32), path.encode() + b"\0")
    if template == "ima-sig":
        data += field(b"")
    return line(template, data, digest=bytes(20))


def extended(data: bytes, hash_name: str = "sha256", *, padded: bool = False) -> bytes:
    """What goes into the bank for template data *data*."""
    if padded:
        return hashlib.sha1(data).digest().ljust(hashlib.new(hash_name).digest_size, b"\0")
    return hashlib.new(hash_name, data).digest()


def pcr10(*digests: bytes, start: bytes = bytes(32)) -> bytes:
    value = start
    for digest in digests:
        value = hashlib.sha256(value + digest).digest()
    return value
