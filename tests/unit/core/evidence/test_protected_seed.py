# SPDX-License-Identifier: Apache-2.0
"""KDFa against the cryptography package's SP 800-108 in counter mode."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from e2etrust_core.errors import SuiteError
from e2etrust_core.evidence.protected_seed import StorageKey, kdfa
from e2etrust_core.suites import HASHES
from tests.unit.core.software_tpm import SoftwareTpm


@pytest.mark.parametrize(
    ("name", "other"),
    [("sha256", hashes.SHA256()), ("sha384", hashes.SHA384()), ("sm3_256", hashes.SM3())],
)
@pytest.mark.parametrize("bits", [128, 256, 384, 1024])
def test_kdfa_is_that_of_another_implementation(name, other, bits):
    expected = KBKDFHMAC(
        algorithm=other,
        mode=Mode.CounterMode,
        length=bits // 8,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=b"STORAGE",
        context=b"name",
        fixed=None,
    ).derive(b"k" * 32)
    assert kdfa(HASHES[name], b"k" * 32, b"STORAGE", b"name", bits) == expected


def test_ek_that_is_named_by_sha1_is_refused():
    weak = bytearray(SoftwareTpm().ek_public)
    weak[2:4] = b"\0\4"
    with pytest.raises(SuiteError):
        StorageKey.decode(bytes(weak))
