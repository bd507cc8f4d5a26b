# SPDX-License-Identifier: Apache-2.0
"""Why an image cannot be sealed, opened or read: one class and one code each."""

from __future__ import annotations

from e2etrust_core.errors import E2ETrustError

_AGAIN = "Seal the image again from its source, or fetch an intact copy."


class SealedImageError(E2ETrustError):
    """Root of this room."""

    code = "SEALED_IMAGE_ERROR"
    remedy = "Seal the image again from its source."


class NotSealedError(SealedImageError):
    """The file carries no footer of ours."""

    code = "NOT_SEALED"
    remedy = "Seal it with `openstack sealed image create`, or use an unsealed flavor and image."


class FooterBrokenError(SealedImageError):
    """There is a footer, and its checksum, version or numbers are wrong."""

    code = "FOOTER_BROKEN"
    remedy = _AGAIN


class HeaderBrokenError(SealedImageError):
    """Neither copy of the LUKS2 header is valid."""

    code = "HEADER_BROKEN"
    remedy = _AGAIN


class SegmentsOverlapError(HeaderBrokenError):
    """Segments of the header overlap, leave gaps, or end elsewhere than the disk."""

    code = "SEGMENTS_OVERLAP"


class CipherUnsupportedError(SealedImageError):
    """The header names a cipher, a segment type or a requirement that is not ours."""

    code = "CIPHER_UNSUPPORTED"
    remedy = _AGAIN


class TokenForeignError(SealedImageError):
    """The header has no valid token of type `e2etrust`, or more than one."""

    code = "TOKEN_FOREIGN"
    remedy = _AGAIN


class HashAreaBrokenError(SealedImageError):
    """The list of leaf hashes does not lead to the root in the token."""

    code = "HASH_AREA_BROKEN"
    remedy = _AGAIN


class KeyWrongError(SealedImageError):
    """The key is not the one this image was sealed with."""

    code = "KEY_WRONG"
    remedy = "Check which key id the image's token names (`openstack sealed image show`)."


class HeaderForgedError(SealedImageError):
    """The key fits, but the header was altered by someone who did not have it."""

    code = "HEADER_FORGED"
    remedy = "Do not use this file: seal the image again and find out who altered it."


class ProtectedDataAlteredError(SealedImageError):
    """Ciphertext does not hash to its leaf."""

    code = "PROTECTED_DATA_ALTERED"
    remedy = "Do not use this file: seal the image again and find out who altered it."


class ImageChangedError(SealedImageError):
    """The file is not the one that was checked before."""

    code = "IMAGE_CHANGED"
    remedy = "Start again; if it repeats, find out who replaces the file."


class ImageReadError(SealedImageError):
    """The operating system could not read the file."""

    code = "IMAGE_UNREADABLE"
    remedy = "Check the file's path, permissions and the disk under it."


class SourceUnsupportedError(SealedImageError):
    """What should be sealed is not an image that can be."""

    code = "SOURCE_UNSUPPORTED"
    remedy = "Give a raw or qcow2 disk image without a backing file."


class SourceTruncatedError(SealedImageError):
    """The image ends before what it describes does."""

    code = "SOURCE_TRUNCATED"
    remedy = "Fetch or build the source image again."


class AlreadySealedError(SealedImageError):
    """The source is a sealed image."""

    code = "ALREADY_SEALED"
    remedy = "Give the unsealed source image."


class LayoutUnsupportedError(SealedImageError):
    """Layout `main` does not know a file system on this disk."""

    code = "LAYOUT_UNSUPPORTED"
    remedy = "Seal it with `--layout full`."


class FilesystemBrokenError(SealedImageError):
    """A file system's own structures contradict themselves."""

    code = "FILESYSTEM_BROKEN"
    remedy = "Repair it with its own check tool, or seal with `--layout full`."


class DestinationError(SealedImageError):
    """The sealed file cannot be written where it was asked for."""

    code = "DESTINATION_UNUSABLE"
    remedy = "Choose another destination, or --force to replace a file."


class NoSpaceError(SealedImageError):
    """The disk under the destination is full."""

    code = "NO_SPACE"
    remedy = "Free space beside the destination (the disk's size and a little more) and try again."


class ToolError(SealedImageError):
    """A system tool is missing or failed."""

    code = "TOOL_FAILED"
    remedy = "Install qemu-utils, e2fsprogs, util-linux and fdisk, and try again."
