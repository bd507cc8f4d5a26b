# SPDX-License-Identifier: Apache-2.0
"""Make a sealed image: copy, plan, encrypt in place, put header, hashes and footer behind it.

All work is done on a copy in a private directory beside the destination; the destination appears
by one rename at the end, and nothing of ours is left when anything fails.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2etrust_core.durable import sync_directory
from e2etrust_core.sealed import footer as footers
from e2etrust_core.sealed import layout as layouts
from e2etrust_core.sealed import luks2, luks2_json, merkle, source, token
from e2etrust_core.sealed.errors import (
    DestinationError,
    ImageReadError,
    NoSpaceError,
    SourceUnsupportedError,
)
from e2etrust_core.sealed.extents import Extent, outside
from e2etrust_core.sealed.image import CIPHER, SealedImage
from e2etrust_core.sealed.reader import SealedReader
from e2etrust_core.sealed.sm4xts import KEY_SIZE, Sm4Xts

# The key is 256 random bits, not a passphrase: stretching it adds nothing but time at launch.
_DIGEST_ITERATIONS = 1000
_FORMATS = {"full": "raw", "main": "qcow2"}


@dataclass(frozen=True)
class SealRequest:
    """What to seal, and how.

    :param key_id: UUID of the key in the key manager.
    :param layout: "main" or "full".
    :param format: "raw", "qcow2", or "" for what suits the layout (a `full` image has nothing
        that qcow2 could save).
    :param force: replace an existing destination.
    """

    source: Path
    destination: Path
    key_id: str
    layout: str
    format: str = ""
    label: str = ""
    force: bool = False


@dataclass(frozen=True)
class Sealed:
    """What came out; sizes in bytes."""

    path: Path
    format: str
    file_size: int
    virtual_size: int
    disk_size: int
    protected_size: int
    protected_extents: int
    root: str
    header_digest: str


def new_key() -> bytes:
    """A fresh volume key: 256 bits, two different halves."""
    while True:
        key = secrets.token_bytes(KEY_SIZE)
        if key[:16] != key[16:]:
            return key


def check(request: SealRequest) -> source.Source:
    """Everything that can be refused before a key is made or a byte is written.

    :raises SealedImageError: the source or the destination does not do.
    """
    if request.layout not in token.LAYOUTS or request.format not in ("", "raw", "qcow2"):
        raise SourceUnsupportedError("the layout is main or full, the format raw or qcow2")
    destination = request.destination
    if not destination.parent.is_dir():
        raise DestinationError(f"{destination.parent} is not a directory")
    if destination.is_dir() or (destination.exists() and not request.force):
        raise DestinationError(f"{destination} exists")
    found = source.recognise(request.source)
    if destination.exists() and destination.samefile(found.path):
        raise DestinationError("source and destination are the same file")
    return found


def seal(request: SealRequest, key: bytes, progress: source.Progress) -> Sealed:
    """Seal an image.

    :param key: the 32-byte volume key.
    :param progress: called often, from this thread.
    :raises NoSpaceError: the disk is full.
    :raises SealedImageError: anything else is wrong; the destination is then as it was before.
    """
    found = check(request)
    with _disk_full_told(), _workplace(request.destination) as place:
        raw = place / "disk"
        source.copy_raw(found, raw, progress)
        extents = layouts.plan(raw, found.disk_size, request.layout, place / "scratch")
        leaves = _encrypt(raw, extents, key, progress)
        _append_trailer(raw, found.disk_size, extents, leaves, key, request)
        sealed = SealedImage.open(raw)
        with SealedReader(sealed, key):
            pass  # what was written opens with its key
        output, image_format = raw, request.format or _FORMATS[request.layout]
        if image_format == "qcow2":
            output = place / "disk.qcow2"
            size = raw.stat().st_size
            source.convert(raw, "raw", output, "qcow2", "writing", size, progress)
        _publish(output, request)
    return Sealed(
        path=request.destination,
        format=image_format,
        file_size=request.destination.stat().st_size,
        virtual_size=sealed.footer.offset + footers.SIZE,
        disk_size=sealed.disk_size,
        protected_size=sum(extent.length for extent in extents),
        protected_extents=len(extents),
        root=sealed.root.hex(),
        header_digest=sealed.header_digest.hex(),
    )


@contextlib.contextmanager
def _workplace(destination: Path) -> Iterator[Path]:
    """A private directory on the destination's file system, gone afterwards."""
    parent = destination.resolve().parent
    try:
        path = Path(tempfile.mkdtemp(prefix=f".{destination.name[:100]}.", dir=parent))
    except PermissionError:
        raise DestinationError(f"{parent} cannot be written to") from None
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _disk_full_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError("the disk is full") from None
        if error.errno == errno.EFBIG:
            raise DestinationError("the file system takes no file of that size") from None
        raise ImageReadError(f"working on the image failed: {error.strerror}") from None


def _encrypt(
    path: Path, extents: list[Extent], key: bytes, progress: source.Progress
) -> list[bytes]:
    """Encrypt the extents in place, leaf by leaf; the hashes of the ciphertext in order."""
    total = sum(extent.length for extent in extents)
    done = 0
    hashes = []
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        with Sm4Xts(key) as cipher:
            for place in merkle.LeafMap(extents).leaves():
                leaf = bytearray(place.length)
                if os.preadv(fd, [leaf], place.offset) != place.length:
                    raise ImageReadError("the working copy ends too early")
                cipher.encrypt_into(leaf, place.offset // 512)
                hashes.append(merkle.leaf_hash(place, leaf))
                write_exactly(fd, leaf, place.offset)
                done += place.length
                progress("encrypting", done, total)
    finally:
        os.close(fd)
    return hashes


def write_exactly(fd: int, data: bytes | bytearray, offset: int) -> None:
    """Write all of it; a short write is continued, and ends in the error that cut it."""
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def _append_trailer(
    path: Path,
    disk_size: int,
    extents: list[Extent],
    leaves: list[bytes],
    key: bytes,
    request: SealRequest,
) -> None:
    """Header, hash area and footer behind the disk's bytes, and all of it on stable storage."""
    hashes, root = merkle.build(leaves, merkle.LEAF_SIZE, disk_size)
    segments = _segments(extents, disk_size)
    digest = _digest(segments, key)

    def document(size: int) -> tuple[dict[str, Any], footers.Footer]:
        footer = footers.place(disk_size, 2 * size, len(hashes))
        return _document(segments, digest, _token(request, footer, root), size), footer

    # The text's length hardly depends on the size it names: a first draft tells what is needed.
    draft = luks2_json.dump(document(luks2.HEADER_SIZES[-1])[0])
    size = luks2.size_for(len(draft))
    final, footer = document(size)
    final["tokens"]["0"]["seal"] = token.seal_of(final, key)
    salts = (secrets.token_bytes(64), secrets.token_bytes(64))
    header = luks2.write(luks2_json.dump(final), size, str(uuid.uuid4()), salts, request.label)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        write_exactly(fd, header, footer.header_offset)
        write_exactly(fd, hashes, footer.hash_offset)
        write_exactly(fd, footer.encode(), footer.offset)
        os.fsync(fd)
    finally:
        os.close(fd)


def _segments(extents: list[Extent], disk_size: int) -> dict[str, Any]:
    """Crypt segments over the extents, linear ones over the rest, in the disk's order."""
    crypt = {extent.offset for extent in extents}
    pieces = sorted([*extents, *outside(extents, disk_size)])
    out: dict[str, Any] = {}
    for number, piece in enumerate(pieces):
        segment: dict[str, Any] = {
            "type": "linear",
            "offset": str(piece.offset),
            "size": str(piece.length),
        }
        if piece.offset in crypt:
            segment |= {
                "type": "crypt",
                # dm-crypt counts from the start of a segment: this makes it the disk's sector.
                "iv_tweak": str(piece.offset // 512),
                "encryption": CIPHER,
                "sector_size": 512,
            }
        out[str(number)] = segment
    return out


def _digest(segments: dict[str, Any], key: bytes) -> dict[str, Any]:
    salt = secrets.token_bytes(32)
    crypt = tuple(int(n) for n, segment in segments.items() if segment["type"] == "crypt")
    empty = luks2_json.Digest("pbkdf2", (), crypt, "sha256", _DIGEST_ITERATIONS, salt, bytes(32))
    return {
        "type": empty.kind,
        "keyslots": [],
        "segments": [str(number) for number in empty.segments],
        "hash": empty.hash,
        "iterations": empty.iterations,
        "salt": luks2_json.base64_text(salt),
        "digest": luks2_json.base64_text(token.volume_digest(empty, key)),
    }


def _token(request: SealRequest, footer: footers.Footer, root: bytes) -> token.Token:
    return token.Token(
        key_id=request.key_id,
        layout=request.layout,
        disk_size=footer.disk_size,
        leaf_size=merkle.LEAF_SIZE,
        hash_offset=footer.hash_offset,
        hash_size=footer.hash_size,
        root=root.hex(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seal="0" * 64,
    )


def _document(
    segments: dict[str, Any], digest: dict[str, Any], facts: token.Token, size: int
) -> dict[str, Any]:
    return {
        "keyslots": {},
        "tokens": {"0": facts.encode()},
        "segments": segments,
        "digests": {"0": digest},
        "config": {"json_size": str(size - luks2.BINARY_SIZE), "keyslots_size": "0"},
    }


def _publish(output: Path, request: SealRequest) -> None:
    """Give the finished file its name, at once and for good."""
    umask = os.umask(0)
    os.umask(umask)
    output.chmod(0o666 & ~umask)
    fd = os.open(output, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    if request.force:
        output.replace(request.destination)
    else:
        try:
            os.link(output, request.destination)
        except FileExistsError:
            raise DestinationError(f"{request.destination} exists") from None
    sync_directory(request.destination.resolve().parent)
