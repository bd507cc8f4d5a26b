# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from e2etrust_core.evidence.errors import EkCertificateError
from e2etrust_verifier.trust import endorsement
from e2etrust_verifier.trust.endorsement import Endorsement, InventoryError
from e2etrust_verifier.trust.errors import EkNotPinned

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EK = b"an EK's public area"
PIN = hashlib.sha256(EK).hexdigest()


def pinned(tmp_path, text):
    path = tmp_path / "pins.yaml"
    path.write_text(text)
    return Endorsement(None, path)


@pytest.mark.parametrize("text", [f"host1: {PIN}", f"host1: ['{'0' * 64}', '{PIN.upper()}']"])
def test_pinned_ek_needs_no_certificate(tmp_path, text):
    assert pinned(tmp_path, text).accept("host1", EK, None, NOW) == "inventory"


def test_other_ek_than_the_pinned_one_is_refused_and_the_pin_not_told(tmp_path):
    with pytest.raises(EkNotPinned) as caught:
        pinned(tmp_path, f"host1: '{'a' * 64}'").accept("host1", EK, None, NOW)
    assert "a" * 64 not in str(caught.value)


def test_host_that_is_not_in_the_inventory_needs_a_certificate(tmp_path):
    with pytest.raises(EkCertificateError):
        pinned(tmp_path, f"host2: {PIN}").accept("host1", EK, None, NOW)


def test_neither_inventory_nor_authorities_accept_nobody():
    with pytest.raises(EkCertificateError):
        Endorsement(None, None).accept("host1", EK, None, NOW)


@pytest.mark.parametrize("text", ["[", "- host1", "host1: 7", "host1: [7]", "host1:", "host1: []"])
def test_malformed_inventory_refuses_instead_of_falling_back(tmp_path, text):
    with pytest.raises(InventoryError):
        pinned(tmp_path, text).accept("host1", EK, None, NOW)


@pytest.mark.parametrize("host", ["1001", "1.5", "on", "no", "0x1f", "2026-01-01"])
def test_name_that_yaml_takes_for_something_else_is_no_way_around_its_pin(tmp_path, host):
    """``1001: PIN`` is of a number; the host of that name would go without a pin."""
    other = hashlib.sha256(b"another EK").hexdigest()
    with pytest.raises(InventoryError, match="quotes"):
        pinned(tmp_path, f"{host}: {other}").accept(host, EK, None, NOW)
    with pytest.raises(EkNotPinned):
        pinned(tmp_path, f"'{host}': {other}").accept(host, EK, None, NOW)


def test_ek_that_the_inventory_has_for_another_host_needs_more_than_a_certificate(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(endorsement, "verify_ek_certificate", lambda *_: "fingerprint")
    assert pinned(tmp_path, f"host2: {'a' * 64}").accept("host1", EK, b"it", NOW)
    with pytest.raises(EkNotPinned):
        pinned(tmp_path, f"host2: ['{PIN.upper()}']").accept("host1", EK, b"it", NOW)


def test_missing_files_are_said_to_be_missing(tmp_path):
    with pytest.raises(InventoryError, match="absent.pem"):
        Endorsement(tmp_path / "absent.pem", None).accept("host1", EK, None, NOW)


def test_ek_that_operators_expect_needs_no_certificate(tmp_path):
    found = Endorsement(None, None).accept("host1", EK, None, NOW, [PIN])
    assert found == "inventory"


def test_other_ek_than_the_expected_one_is_refused_whatever_its_certificate_says():
    with pytest.raises(EkNotPinned):
        Endorsement(None, None).accept("host1", EK, None, NOW, ["b" * 64])


def test_expected_ek_counts_beside_the_files(tmp_path):
    both = pinned(tmp_path, f"host1: '{'a' * 64}'")
    assert both.accept("host1", EK, None, NOW, [PIN]) == "inventory"
