# SPDX-License-Identifier: Apache-2.0
"""What lies in PEM files (RFC 7468)."""

import base64

import pytest

from e2etrust_core.evidence import pem

DER = bytes(range(200))
TEXT = base64.encodebytes(DER)


def block(label: bytes, text: bytes) -> bytes:
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, text, label)


def test_blocks_are_found_amid_other_text_with_their_labels():
    data = b"# first\n" + block(b"PUBLIC KEY", TEXT) + b"# next\r\n" + block(b"CERTIFICATE", TEXT)
    found = [(one.label, one.der()) for one in pem.blocks(data)]
    assert found == [("PUBLIC KEY", DER), ("CERTIFICATE", DER)]


@pytest.mark.parametrize("text", [b"!" + TEXT, b"Proc-Type: 4,ENCRYPTED\n\n" + TEXT, TEXT[:-3]])
def test_block_that_holds_anything_but_base64_is_not_read(text):
    (found,) = pem.blocks(block(b"PUBLIC KEY", text))
    with pytest.raises(ValueError, match="base64|padding|characters"):
        found.der()


@pytest.mark.parametrize("data", [b"", TEXT, block(b"A", TEXT)[:-9]])
def test_what_is_no_block_is_none(data):
    assert pem.blocks(data) == []
