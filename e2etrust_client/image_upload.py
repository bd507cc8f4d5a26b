# SPDX-License-Identifier: Apache-2.0
"""A sealed image into Glance, with the properties that say how it is encrypted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import openstack.exceptions

from e2etrust_client.errors import ClientError
from e2etrust_core.sealed.image import CIPHER
from e2etrust_core.sealed.inspection import SealedFile
from e2etrust_core.sealed.source import Progress

_GIB = 1 << 30


def properties_of(sealed: SealedFile) -> dict[str, str]:
    """Glance's names of image encryption (glance-specs, standardized image encryption), and ours.

    Deleting the image must not delete the key: servers still run from it.
    """
    return {
        "os_encrypt_format": "LUKSv2",
        "os_encrypt_cipher": CIPHER,
        "os_encrypt_key_id": sealed.image.key_id,
        "os_encrypt_key_deletion_policy": "do_not_delete",
        "os_decrypt_container_format": "bare",
        "os_decrypt_size": str(sealed.image.disk_size),
        "e2etrust_sealed": sealed.image.layout,
    }


def upload(
    images: Any,
    path: Path,
    name: str,
    sealed: SealedFile,
    properties: dict[str, str],
    progress: Progress,
) -> Any:
    """Make the image and send its bytes; a failed upload leaves no image.

    :param images: openstacksdk's image proxy.
    :raises ClientError: a property contradicts the seal, or Glance refused.
    """
    own = properties_of(sealed)
    clash = sorted(set(own) & set(properties))
    if clash:
        raise ClientError(
            f"{clash[0]} is told by the image itself",
            code="PROPERTY_RESERVED",
            remedy="Leave it out.",
        )
    with _Counted(path, progress) as data:
        try:
            image = images.create_image(
                name,
                data=data,
                size=data.size,
                disk_format=sealed.format,
                container_format="bare",
                # Nova compares it with the flavor: the header behind the disk counts.
                min_disk=-(-sealed.virtual_size // _GIB),
                allow_duplicates=True,
                disable_vendor_agent=False,
                **properties,
                **own,
            )
        except openstack.exceptions.SDKException as error:
            raise ClientError(
                f"the image service refused: {error}",
                code="UPLOAD_REFUSED",
                remedy="Check your quota and the image service, and upload again.",
            ) from error
        return images.get_image(image.id)


class _Counted(io.FileIO):
    """A file that tells how much of it was read; requests streams it piece by piece."""

    def __init__(self, path: Path, progress: Progress) -> None:
        super().__init__(path, "rb")
        self.size = path.stat().st_size
        self._done = 0
        self._progress = progress

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size if size and size > 0 else -1)
        self._done += len(piece)
        self._progress("uploading", self._done, self.size)
        return piece
