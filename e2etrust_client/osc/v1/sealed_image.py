# SPDX-License-Identifier: Apache-2.0
"""`openstack sealed image create|upload|show|header`."""

from __future__ import annotations

import argparse
import sys
import uuid
from pathlib import Path
from typing import Any, ClassVar

from osc_lib import exceptions as osc_exc
from osc_lib.cli import parseractions
from osc_lib.command import command

from e2etrust_client import image_upload
from e2etrust_client.errors import ClientError
from e2etrust_client.image_keys import ImageKeys
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.osc.v1.fields import TellsFields
from e2etrust_client.progress import ProgressLine
from e2etrust_client.seal_with_key import KeyChoice, seal_with_key
from e2etrust_core.sealed import inspection, sealing
from e2etrust_core.sealed.image import CIPHER

_FORMAT = "raw or qcow2"
_LAYOUT = "main (partition tables, boot areas and file-system metadata) or full (every byte)"
_KEY_ID = "UUID of the key in the key manager"
_DISK_SIZE = "bytes of the disk as the guest sees it"
_VIRTUAL_SIZE = "bytes of the disk with the header behind it"
_PROTECTED_SIZE = "bytes whose integrity is checked"
_PROTECTED_EXTENTS = "in how many pieces these lie"
_ROOT = "SM3 root over them, hex"
_HEADER_DIGEST = "digest of the LUKS2 header, hex: it is part of the launch measurement"


class CreateSealedImage(TellsFields, command.ShowOne):
    """Seal a disk image: encrypt it under a key that only verified hosts get"""

    FIELDS: ClassVar = {
        "file": "the sealed image that was made",
        "format": _FORMAT,
        "layout": _LAYOUT,
        "key_id": _KEY_ID,
        "disk_size": _DISK_SIZE,
        "virtual_size": _VIRTUAL_SIZE,
        "protected_size": _PROTECTED_SIZE,
        "protected_extents": _PROTECTED_EXTENTS,
        "root": _ROOT,
        "header_digest": _HEADER_DIGEST,
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("source", metavar="<source>", type=Path, help="Raw or qcow2 image")
        parser.add_argument("destination", metavar="<destination>", type=Path, help="File to make")
        parser.add_argument(
            "--layout",
            choices=("main", "full"),
            required=True,
            help="main: encrypt partition tables, boot areas and file-system metadata; "
            "full: encrypt every byte",
        )
        parser.add_argument(
            "--name", metavar="<name>", help="Name of the new key (default: <destination>)"
        )
        parser.add_argument("--key-id", metavar="<uuid>", help="Use this key; none is made")
        parser.add_argument(
            "--disk-format",
            dest="image_format",
            choices=("raw", "qcow2"),
            default="",
            help="Format of the destination (default: qcow2 for main, raw for full)",
        )
        parser.add_argument(
            "--grant-user",
            metavar="<user-id>",
            help="Who may read the key (default: the verifier's user, as the service tells)",
        )
        parser.add_argument("--force", action="store_true", help="Replace the destination")
        parser.add_argument("--quiet-progress", action="store_true", help="Show no progress")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        manager: Any = self.app.client_manager  # osc-lib adds our attribute at run time
        keys = ImageKeys(
            manager.session, region_name=manager.region_name, interface=manager.interface
        )
        request = sealing.SealRequest(
            source=parsed_args.source,
            destination=parsed_args.destination,
            key_id=_uuid(parsed_args.key_id) if parsed_args.key_id else "",
            layout=parsed_args.layout,
            format=parsed_args.image_format,
            force=parsed_args.force,
        )
        choice = KeyChoice(
            name=parsed_args.name or parsed_args.destination.name,
            key_id=request.key_id,
            reader=parsed_args.grant_user or "",
        )
        with ProgressLine(sys.stderr, shown=not parsed_args.quiet_progress) as progress:
            sealed, key_id = seal_with_key(request, choice, keys, manager.attestation, progress)
        return tuple(self.FIELDS), (
            str(sealed.path),
            sealed.format,
            request.layout,
            key_id,
            sealed.disk_size,
            sealed.virtual_size,
            sealed.protected_size,
            sealed.protected_extents,
            sealed.root,
            sealed.header_digest,
        )


class UploadSealedImage(TellsFields, command.ShowOne):
    """Upload a sealed image, with the properties that say how it is encrypted"""

    FIELDS: ClassVar = {
        "id": "UUID of the new image",
        "name": "its name",
        "status": "its status in Glance",
        "disk_format": _FORMAT,
        "size": "bytes that were uploaded",
        "min_disk": "GiB of disk that a flavor must have for it",
        "os_encrypt_format": "LUKSv2",
        "os_encrypt_cipher": "cipher of the encrypted part",
        "os_encrypt_key_id": _KEY_ID,
        "os_encrypt_key_deletion_policy": "do_not_delete: servers still run from it",
        "os_decrypt_container_format": "bare",
        "os_decrypt_size": _DISK_SIZE,
        "e2etrust_sealed": _LAYOUT,
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="<file>", type=Path, help="A sealed image")
        parser.add_argument("name", metavar="<name>", help="Name of the new image")
        parser.add_argument(
            "--property",
            metavar="<key=value>",
            dest="properties",
            action=parseractions.KeyValueAction,
            default={},
            help="A property of the image, like hw_firmware_type=uefi (repeat for more)",
        )
        parser.add_argument("--quiet-progress", action="store_true", help="Show no progress")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        sealed = inspection.inspect(parsed_args.file)
        images = self.app.client_manager.sdk_connection.image
        with ProgressLine(sys.stderr, shown=not parsed_args.quiet_progress) as progress:
            image = image_upload.upload(
                images, parsed_args.file, parsed_args.name, sealed, parsed_args.properties, progress
            )
        values = (image.id, image.name, image.status, image.disk_format, image.size, image.min_disk)
        return tuple(self.FIELDS), (*values, *image_upload.properties_of(sealed).values())


class ShowSealedImage(TellsFields, command.ShowOne):
    """Show what a sealed file says of itself; needs no key"""

    FIELDS: ClassVar = {
        "format": _FORMAT,
        "layout": _LAYOUT,
        "cipher": "of the encrypted part",
        "key_id": _KEY_ID,
        "disk_size": _DISK_SIZE,
        "virtual_size": _VIRTUAL_SIZE,
        "protected_size": _PROTECTED_SIZE,
        "protected_extents": _PROTECTED_EXTENTS,
        "segments": "how many segments the LUKS2 header has",
        "root": _ROOT,
        "header_digest": _HEADER_DIGEST,
        "header_offset": "where the header begins, in bytes from the disk's begin",
        "header_size": "bytes of the header",
        "uuid": "of the LUKS2 header",
        "created": "when it was sealed (ISO 8601)",
    }

    auth_required = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="<file>", type=Path, help="A sealed image")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        sealed = inspection.inspect(parsed_args.file)
        image = sealed.image
        protected = image.protected
        return tuple(self.FIELDS), (
            sealed.format,
            image.layout,
            CIPHER,
            image.key_id,
            image.disk_size,
            sealed.virtual_size,
            sum(extent.length for extent in protected),
            len(protected),
            len(image.segments),
            image.root.hex(),
            image.header_digest.hex(),
            image.footer.header_offset,
            image.footer.header_size,
            image.header.uuid,
            image.token.created,
        )


class ExtractSealedImageHeader(command.Command):
    """Write a sealed image's LUKS2 header to a file of its own, for cryptsetup --header"""

    auth_required = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="<file>", type=Path, help="A sealed image")
        parser.add_argument("header", metavar="<header>", type=Path, help="File to make")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> None:
        header = inspection.inspect(parsed_args.file).header
        try:
            with parsed_args.header.open("xb") as file:
                file.write(header)
        except OSError as error:
            raise ClientError(
                f"{parsed_args.header}: {error.strerror}",
                code="DESTINATION_UNUSABLE",
                remedy="Choose another destination.",
            ) from None


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise osc_exc.CommandError(f"{text!r} is not a key id (UUID)") from None
