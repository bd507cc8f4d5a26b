# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from e2etrust_core.tpm import device
from e2etrust_core.tpm.errors import TctiAbsent, TctiUnknown
from e2etrust_core.tpm.tcti import parse_tcti


@pytest.mark.parametrize(
    "text",
    [
        "device:/dev/tpmrm0",
        "tabrmd:",
        "tabrmd:bus_name=com.intel.tss2.Tabrmd,bus_type=system",
        "swtpm:path=/run/tpm",
        "swtpm:host=127.0.0.1,port=2321",
        "mssim:host=::1,port=2321",
    ],
)
def test_every_way_to_a_tpm_is_read(text):
    found = parse_tcti(text)
    assert f"{found.kind}:{found.conf}" == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/dev/tpm0", "begin with one of"),
        ("", "begin with one of"),
        ("device:", "no device file"),
        ("device:tpmrm0", "no device file"),
        ("swtpm:port=abc", "a port that is none"),
        ("swtpm:port=\N{SUPERSCRIPT TWO}", "a port that is none"),
        ("swtpm:port=65535", "a port that is none"),
        ("swtpm:path=/run/tpm,port=1", "both"),
        ("swtpm:socket=/run/tpm", "host, path, port"),
        ("swtpm:port=1,port=2", "twice"),
        ("mssim:host=", "NAME=VALUE"),
        ("tabrmd:bus=x", "bus_name, bus_type"),
    ],
)
def test_what_is_no_way_to_a_tpm_is_refused_with_what_is_wrong(text, said):
    with pytest.raises(TctiUnknown, match=said) as caught:
        device.open_tpm(text)
    assert "tcti" in caught.value.remedy


def test_module_that_is_not_installed_is_said_at_once():
    tpm = device.Tpm("nosuchkind:", patience=60)
    with pytest.raises(TctiAbsent, match="nosuchkind"), tpm.connected():
        pass
