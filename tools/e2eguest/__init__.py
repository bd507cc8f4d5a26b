# SPDX-License-Identifier: Apache-2.0
"""A guest image for demo and tests: small, real, and quick to boot under emulation.

    from e2eguest import GuestImage, build
    build(GuestImage(secret=b"..."), output=Path("guest.raw"), cache=Path(".cloud/cache"))

A raw GPT disk of 1 GiB: an EFI system partition with a unified kernel image (Debian's kernel and a
small initramfs), and an ext4 partition labelled ``root`` with the secret in
``/srv/secret/tenant-secret.txt``. On ttyS0 the guest prints ``E2E-GUEST up`` and
``E2E-SECRET sha256=... CONTENT``; it runs qemu-ga, through which programs in it are
started. Upload it with :data:`PROPERTIES`. Built without root's mounts or loop devices.
"""

from e2eguest.image import PROPERTIES as PROPERTIES
from e2eguest.image import SECRET_NAME as SECRET_NAME
from e2eguest.image import SECRET_PATH as SECRET_PATH
from e2eguest.image import GuestImage as GuestImage
from e2eguest.image import build as build
from e2eguest.image import prepare as prepare
