# SPDX-License-Identifier: Apache-2.0
"""A base that somebody altered, in both layouts."""

from e2etrust_nova import disk as disk_server

from .conftest import refused


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_base_altered_where_it_begins_is_refused_by_name(server):
    flip(server.base, server_image(server).protected[0].offset)
    assert refused(server.attach) == "PROTECTED_DATA_ALTERED"
    server.assert_nothing_left()


def test_base_altered_elsewhere_gives_an_io_error_and_a_line_in_the_log(server):
    last = server_image(server).protected[-1]
    at = last.end - 512
    flip(server.base, at)
    server.attach()
    assert "Input/output error" in server.io(f"read {at} 512", check=False).stdout
    server.io("read 0 4k")  # the rest goes on
    server.detach()
    assert "PROTECTED_DATA_ALTERED" in server.log.read_text()


def server_image(server):
    return disk_server.find_sealed_base(server.disk).image
