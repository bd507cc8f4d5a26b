# SPDX-License-Identifier: Apache-2.0
"""A launch record counts only with the signature of a key in the key set."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from e2etrust_client.errors import RecordError
from e2etrust_client.launch_record import read_record
from e2etrust_core import wire
from e2etrust_core.evidence.model import HostEvidence, Quote
from e2etrust_core.launch import LaunchMeasurement, LaunchRequest
from e2etrust_core.messages import LaunchRecord, LeaseGrant


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def record():
    return LaunchRecord(
        iss="verifier",
        iat=1,
        jti="launch-1",
        host="host1",
        host_ek_public=b"ek",
        host_ak_public=b"ak",
        nonce=b"n",
        evidence=HostEvidence(Quote(b"a", b"s", {"sha256": {0: b"v"}})),
        request=LaunchRequest(
            LaunchMeasurement("i1", b"f", b"m", "lease-1"), "vm", "p", "img", "flv", None
        ),
        lease=LeaseGrant("lease-1", 30.0),
        policy="compute",
    )


def _jwks(key, kid="k1"):
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return {"keys": [{**public, "kid": kid, "use": "sig", "alg": "ES256"}]}


def _sign(record, key, kid="k1"):
    return jwt.encode(wire.to_dict(record), key, algorithm="ES256", headers={"kid": kid})


def test_signed_record_comes_back_as_it_was(key, record):
    assert read_record(_sign(record, key), _jwks(key)) == record


def test_record_signed_by_another_key_under_the_same_id_is_refused(key, record):
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(RecordError, match="signature"):
        read_record(_sign(record, other), _jwks(key))


def test_record_of_an_unknown_key_id_is_refused(key, record):
    with pytest.raises(RecordError, match="not in the key set"):
        read_record(_sign(record, key, kid="k2"), _jwks(key))


def test_record_with_altered_claims_is_refused(key, record):
    head, _, tail = _sign(record, key).split(".")
    claims = wire.to_dict(record) | {"host": "host2"}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    with pytest.raises(RecordError, match="signature"):
        read_record(f"{head}.{body}.{tail}", _jwks(key))


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_record_under_another_algorithm_is_refused(key, record, algorithm):
    secret = "" if algorithm == "none" else "x" * 64
    forged = jwt.encode(wire.to_dict(record), secret, algorithm=algorithm, headers={"kid": "k1"})
    with pytest.raises(RecordError):
        read_record(forged, _jwks(key))


@pytest.mark.parametrize("text", ["", "a.b.c", "nonsense"])
def test_text_that_is_no_record_is_refused(key, text):
    with pytest.raises(RecordError):
        read_record(text, _jwks(key))


@pytest.mark.parametrize(("ahead", "good"), [(30, True), (3600, False)])
def test_record_of_a_verifier_whose_clock_is_a_little_ahead_is_good(key, record, ahead, good):
    claims = {**wire.to_dict(record), "iat": int(time.time()) + ahead}
    signed = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "k1"})
    if good:
        assert read_record(signed, _jwks(key)).iat == claims["iat"]
        return
    with pytest.raises(RecordError, match="iat"):
        read_record(signed, _jwks(key))


def test_signed_claims_of_another_shape_are_refused(key):
    claims = {"iss": "v", "iat": 1, "jti": "x"}
    signed = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "k1"})
    with pytest.raises(RecordError, match="cannot be read"):
        read_record(signed, _jwks(key))
