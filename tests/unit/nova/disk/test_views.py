# SPDX-License-Identifier: Apache-2.0
import errno
import os
import stat

import pytest

from e2etrust_core.sealed.sm4xts import Sm4Xts
from e2etrust_nova.disk.cipher_file import SECTOR, CipherFile
from e2etrust_nova.disk.fuse_protocol import AttributeChange
from e2etrust_nova.disk.views import BaseView, ContainerView


class Reader:
    """Hands out at most 1000 bytes at a time, as a reader may."""

    data = os.urandom(5000)

    def read_into(self, buffer, offset):
        piece = self.data[offset : offset + min(len(buffer), 1000)]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.fixture
def base():
    return BaseView(Reader(), 5000, (64055, 107))


@pytest.fixture
def container(tmp_path):
    descriptor = os.open(tmp_path / "disk", os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(descriptor, 4 * SECTOR)
    os.fchmod(descriptor, 0o644)
    file = CipherFile(descriptor, SECTOR, 3 * SECTOR, Sm4Xts(bytes(range(32))))
    yield ContainerView(file, descriptor), descriptor
    os.close(descriptor)


def test_base_is_read_whole_from_short_reads(base):
    assert base.read(bytearray(20000), 10, 10000) == Reader.data[10:]
    assert base.read(bytearray(20000), 5000, 512) == b""


def test_base_that_ends_early_is_an_error():
    with pytest.raises(OSError, match="early"):
        BaseView(Reader(), 6000, (0, 0)).read(bytearray(20000), 4000, 2000)


def test_base_cannot_be_written(base):
    for attempt in (
        lambda: base.write(memoryview(bytearray(1)), 0),
        lambda: base.discard(0, 1),
    ):
        with pytest.raises(OSError, match="Read-only") as refused:
            attempt()
        assert refused.value.errno == errno.EROFS


def test_base_follows_libvirts_chown_but_is_never_writable_or_for_others(base):
    base.change(AttributeChange(0o666, 1, None, None))
    shown = base.attributes()
    assert (shown.uid, shown.gid, shown.mode) == (1, 107, 0o440)


def test_container_shows_the_owner_below_without_others(container):
    view, descriptor = container
    assert view.attributes().mode == 0o640
    assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o644


def test_chmod_goes_to_the_file_below(container):
    view, descriptor = container
    view.change(AttributeChange(0o600, None, None, 3 * SECTOR))
    assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600


def test_another_size_is_refused(container, base):
    with pytest.raises(OSError, match="size is fixed"):
        container[0].change(AttributeChange(None, None, None, 0))
    with pytest.raises(OSError, match="Read-only"):
        base.change(AttributeChange(None, None, None, 0))
