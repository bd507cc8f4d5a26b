# SPDX-License-Identifier: Apache-2.0
"""What ``openstack attestation server verify`` asks of a launch record besides its chain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from e2etrust_client import verify_server
from e2etrust_client.api import SignedEvidence
from tests.unit.core.appraisal.test_server import NONCE, Chain

HEADER = b"h" * 32


@pytest.fixture
def chain(monkeypatch) -> Chain:
    found = Chain()
    found.activated = NONCE
    found.measured = replace(found.measured, sealed_header=HEADER)
    found.request = replace(found.request, measurement=found.measured)
    monkeypatch.setattr(verify_server.secrets, "token_bytes", lambda size: NONCE[:size])
    monkeypatch.setattr(verify_server, "read_record", lambda record, jwks: found.record())
    return found


def failed(chain: Chain, instance: str = "vm-1", header: bytes | None = None) -> dict[str, str]:
    class Service:
        def server_evidence(self, ask):
            return SignedEvidence("record", chain.server())

    verdict = verify_server.verify(Service(), instance, {}, header).verdict
    assert verdict.trusted == (not verdict.failed)
    return {row.check: row.code for row in verdict.failed}


def test_server_that_was_asked_for_and_its_image_pass(chain):
    assert failed(chain) == {}
    assert failed(chain, header=HEADER) == {}


def test_record_of_another_server_is_refused(chain):
    assert failed(chain, "vm-2") == {"record-instance": "RECORD_FOREIGN"}


@pytest.mark.parametrize("measured", [None, b"x" * 32])
def test_image_that_was_swapped_is_refused_where_the_tenant_names_it(chain, measured):
    chain.measured = replace(chain.measured, sealed_header=measured)
    chain.request = replace(chain.request, measurement=chain.measured)
    assert failed(chain) == {}
    assert failed(chain, header=HEADER) == {"sealed-image": "IMAGE_FOREIGN"}
