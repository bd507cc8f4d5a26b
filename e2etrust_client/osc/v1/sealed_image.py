# SPDX-License-Identifier: Apache-2.0
"""`openstack sealed image create|upload|show|header`."""

from __future__ import annotations

import argparse
import sys
import uuid
from pathlib import Path
from typing import Any

from osc_lib import exceptions as osc_exc
from osc_lib.cli import parseractions
from osc_lib.command import command

from e2etrust_client import image_upload
from e2etrust_client.errors import ClientError
from e2etrust_client.image_keys import ImageKeys
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.progress import ProgressLine
from e2etrust_client.seal_with_key import KeyChoice, seal_with_key
from e2etrust_core.sealed import inspection, sealing


class CreateSealedImage(command.ShowOne):
    """Seal a disk image: encrypt it under a key that only verified hosts get"""

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
        parser.add_argument("--name", metavar="<name>", help="Name of the new key")
        parser.add_argument("--key-id", metavar="<uuid>", help="Use this key, do not make one")
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
        return zip(
            *(
                ("file", str(sealed.path)),
                ("format", sealed.format),
                ("layout", request.layout),
                ("key_id", key_id),
                ("disk_size", sealed.disk_size),
                ("virtual_size", sealed.virtual_size),
                ("protected_size", sealed.protected_size),
                ("protected_extents", sealed.protected_extents),
                ("root", sealed.root),
                ("header_digest", sealed.header_digest),
            ),
            strict=True,
        )


class UploadSealedImage(command.ShowOne):
    """Upload a sealed image"""

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
        properties = image_upload.properties_of(sealed)
        columns = ("id", "name", "status", "disk_format", "size", "min_disk", *properties)
        values = (image.id, image.name, image.status, image.disk_format, image.size, image.min_disk)
        return columns, (*values, *properties.values())


class ShowSealedImage(command.ShowOne):
    """Show what a sealed file says of itself; needs no key"""

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
        facts = {
            "format": sealed.format,
            "layout": image.layout,
            "cipher": "sm4-xts-plain64",
            "key_id": image.key_id,
            "disk_size": image.disk_size,
            "virtual_size": sealed.virtual_size,
            "protected_size": sum(extent.length for extent in protected),
            "protected_extents": len(protected),
            "segments": len(image.segments),
            "root": image.root.hex(),
            "header_digest": image.header_digest.hex(),
            "header_offset": image.footer.header_offset,
            "header_size": image.footer.header_size,
            "uuid": image.header.uuid,
            "created": image.token.created,
        }
        return tuple(facts), tuple(facts.values())


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
