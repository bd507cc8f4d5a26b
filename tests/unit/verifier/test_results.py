# SPDX-License-Identifier: Apache-2.0
"""Attestation results: issued by the service, read by the client, and by others' libraries."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from gmssl import sm2

from e2etrust_client.errors import ResultError
from e2etrust_client.result_token import read_result
from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.appraisal.result_token import ResultOfHost, result_claims
from e2etrust_core.suites import ECC_P256_SHA256, SM2_SM3
from e2etrust_verifier.db import hosts, verdicts
from e2etrust_verifier.trust import records, results, sm2_records, standing
from e2etrust_verifier.trust.signing_keys import SigningKeyError
from tests.unit.verifier.test_api import NOW, database  # noqa: F401

ROWS = [
    CheckResult("quote-signature", "pass", "signed"),
    CheckResult("event-policy", "pass", "every event is accepted"),
    CheckResult("ima-policy", "pass", "every entry is accepted"),
]
REFUSED = CheckResult("ima-policy", "fail", "a file", "IMA_FILE_REFUSED", "look", "ima 3")
SECOND = timedelta(seconds=1)


@pytest.fixture
def keys(tmp_path):
    """Signers, and the key set that is published of them."""
    records.create_key(tmp_path / "key.pem")
    sm2_records.create_key(tmp_path / "sm2.pem")
    conf = SimpleNamespace(
        verifier=SimpleNamespace(
            signing_key=str(tmp_path / "key.pem"),
            sm2_signing_key=str(tmp_path / "sm2.pem"),
            retired_keys=[],
            issuer="verifier of the tests",
        )
    )
    return SimpleNamespace(
        issuer=results.issuer(conf), jwks=records.published_keys(conf), directory=tmp_path
    )


def result(**changes) -> ResultOfHost:
    now = int(NOW.timestamp())
    good = ResultOfHost("host1", "affirming", now, now + 60, ["compute"], ROWS, None, True)
    return replace(good, **changes)


def host(suite: str = ECC_P256_SHA256.name, name: str = "host1"):
    return SimpleNamespace(suite=suite, name=name)


def of_token(token: str) -> tuple[dict, dict]:
    return tuple(
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in token.split(".")[:2]
    )


def signature_of(token: str) -> tuple[int, int]:
    last = token.rpartition(".")[2]
    raw = base64.urlsafe_b64decode(last + "=" * (-len(last) % 4))
    assert len(raw) == 64
    return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")


def numbers(jwk: dict) -> tuple[int, int]:
    padded = (jwk[name] + "=" for name in "xy")
    x, y = (int.from_bytes(base64.urlsafe_b64decode(one), "big") for one in padded)
    return x, y


# --- what is said -----------------------------------------------------------------------------


def test_claims_are_those_of_the_draft():
    claims = result_claims(result(), "issuer", "e2etrust 1")
    assert claims["eat_profile"] == "tag:ietf.org,2026:rats/ear#04"
    assert claims["ear_verifier_id"] == {"developer": "E2ETrust", "build": "e2etrust 1"}
    (appraisal,) = claims["submods"].values()
    assert appraisal["ear_status"] == claims["ear_status"] == "affirming"
    assert appraisal["ear_trustworthiness_vector"] == {
        "instance-identity": 2,
        "hardware": 2,
        "executables": 3,
    }
    assert appraisal["ear_appraisal_policy_ids"] == ["compute"]
    assert len(appraisal["ear_verifier_claims"]["e2etrust_checks"]) == 3


def test_what_was_not_appraised_is_not_claimed():
    quiet = result(checks=[ROWS[0]], genuine_tpm=False, policies=[])
    (appraisal,) = result_claims(quiet, "i", "b")["submods"].values()
    assert appraisal["ear_trustworthiness_vector"] == {"instance-identity": 2}
    assert "ear_appraisal_policy_ids" not in appraisal


@pytest.mark.parametrize(
    ("checks", "vector"),
    [
        ([*ROWS[:2], REFUSED], {"instance-identity": 2, "hardware": 2, "executables": 96}),
        ([CheckResult("standing", "fail", "revoked")], {"hardware": 2, "configuration": 96}),
    ],
)
def test_no_claim_of_a_refused_host_says_more_than_its_status(checks, vector):
    refused = result(status="contraindicated", checks=checks)
    (appraisal,) = result_claims(refused, "i", "b")["submods"].values()
    assert appraisal["ear_trustworthiness_vector"] == vector


def test_host_without_evidence_is_given_no_vector():
    (appraisal,) = result_claims(result(status="none"), "i", "b")["submods"].values()
    assert appraisal["ear_status"] == "none"
    assert "ear_trustworthiness_vector" not in appraisal


# --- what is known ----------------------------------------------------------------------------


def test_affirming_ends_with_the_lease(database):  # noqa: F811
    def work(session):
        verdicts.add(session, "host1", "attest", "p", ROWS, trusted=True, now=NOW)
        return results.result_of(session, hosts.find(session, "host1"), NOW)

    found = database.write(work)
    assert found.status == "affirming"
    assert found.expires_at == int((NOW + timedelta(hours=1)).timestamp())
    assert (found.policies, list(found.checks)) == (["p"], ROWS)


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        ({"lease_expires_at": NOW}, "none"),
        ({"lease_id": None}, "none"),
        ({"held": True}, "contraindicated"),
        ({"failed": "not JSON"}, "contraindicated"),
    ],
)
def test_host_without_a_lease_now_is_never_affirmed(database, spoil, status):  # noqa: F811
    def work(session):
        state = hosts.lock_state(session, "host1", NOW)
        for name, value in spoil.items():
            setattr(state, name, value)
        return results.result_of(session, hosts.find(session, "host1"), NOW)

    assert database.write(work).status == status


def test_revoked_host_is_contraindicated_whatever_its_last_evidence_was(database):  # noqa: F811
    def work(session):
        verdicts.add(session, "host1", "attest", "p", ROWS, trusted=True, now=NOW)
        state = hosts.lock_state(session, "host1", NOW)
        standing.withdraw(session, state, [standing.HELD], NOW, why="revoked", hold=True)
        return results.result_of(session, hosts.find(session, "host1"), NOW)

    found = database.write(work)
    assert found.status == "contraindicated"
    assert list(found.checks) == [standing.HELD]


def test_each_failed_check_says_since_when_it_fails(database):  # noqa: F811
    other = CheckResult("clock", "fail", "went back", "CLOCK_WENT_BACK")

    def work(session):
        history = [[*ROWS[:2], REFUSED], ROWS, [*ROWS[:2], REFUSED], [*ROWS[:2], REFUSED, other]]
        for n, checks in enumerate(history):
            at = NOW - timedelta(minutes=10 - n)
            verdicts.add(session, "host1", "attest", "p", checks, trusted=False, now=at)
        state = hosts.lock_state(session, "host1", NOW)
        return results.failing_since(session, "host1", state, [REFUSED, other, standing.HELD])

    assert database.write(work) == {
        "ima-policy": NOW - timedelta(minutes=8),
        "clock": NOW - timedelta(minutes=7),
        "standing": NOW,
    }


# --- signed and read --------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [ECC_P256_SHA256.name, SM2_SM3.name])
def test_result_is_read_back_as_it_was_said(keys, suite):
    token = keys.issuer.issue(host(suite), result())
    found = read_result(token, keys.jwks, "host1", NOW)
    assert (found.status, found.issuer) == ("affirming", "verifier of the tests")
    assert found.vector["executables"] == 3


def test_token_says_its_type_and_key(keys):
    header, claims = of_token(keys.issuer.issue(host(), result()))
    assert (header["alg"], header["typ"]) == ("ES256", "eat+jwt")
    assert header["kid"] in {key["kid"] for key in keys.jwks["keys"]}
    assert claims["iss"] == "verifier of the tests"


def test_es256_is_good_by_another_library(keys):
    token = keys.issuer.issue(host(), result())
    jwk = next(key for key in keys.jwks["keys"] if key["crv"] == "P-256")
    public = ec.EllipticCurvePublicNumbers(*numbers(jwk), ec.SECP256R1()).public_key()
    signed = token.rpartition(".")[0].encode()
    signature = encode_dss_signature(*signature_of(token))
    public.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(signature, signed + b"x", ec.ECDSA(hashes.SHA256()))


def test_sm2_is_good_by_another_library_with_its_own_digest(keys):
    token = keys.issuer.issue(host(SM2_SM3.name), result())
    assert of_token(token)[0]["alg"] == "SM2-SM3"
    jwk = next(key for key in keys.jwks["keys"] if key["crv"] == "SM2")
    x, y = numbers(jwk)
    other = sm2.CryptSM2(private_key="", public_key=f"{x:064x}{y:064x}", asn1=False)
    r, s = signature_of(token)
    signed = token.rpartition(".")[0].encode()
    assert other.verify_with_sm3(f"{r:064x}{s:064x}", signed)
    assert not other.verify_with_sm3(f"{r:064x}{s:064x}", signed + b"x")


def test_without_an_sm2_key_every_result_is_es256(keys):
    issuer = replace(keys.issuer, sm2=None)
    assert of_token(issuer.issue(host(SM2_SM3.name), result()))[0]["alg"] == "ES256"


# --- attacks ----------------------------------------------------------------------------------


def tampered(token: str) -> str:
    head, claims, signature = token.split(".")
    text = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
    other = base64.urlsafe_b64encode(text.replace(b"contraindicated", b"affirming")).rstrip(b"=")
    return f"{head}.{other.decode()}.{signature}"


@pytest.mark.parametrize("suite", [ECC_P256_SHA256.name, SM2_SM3.name])
def test_altered_result_is_refused(keys, suite):
    token = keys.issuer.issue(host(suite), result(status="contraindicated", checks=[REFUSED]))
    assert read_result(token, keys.jwks, "host1", NOW).status == "contraindicated"
    with pytest.raises(ResultError):
        read_result(tampered(token), keys.jwks, "host1", NOW)


@pytest.mark.parametrize("suite", [ECC_P256_SHA256.name, SM2_SM3.name])
def test_result_that_ran_out_is_refused(keys, suite):
    token = keys.issuer.issue(host(suite), result())
    with pytest.raises(ResultError, match="ran out"):
        read_result(token, keys.jwks, "host1", NOW + 61 * SECOND)


@pytest.mark.parametrize("suite", [ECC_P256_SHA256.name, SM2_SM3.name])
def test_result_of_a_verifier_whose_clock_is_ahead_is_refused(keys, suite):
    """It would be good until a lease's end that is as far ahead."""
    token = keys.issuer.issue(host(suite), result())
    with pytest.raises(ResultError, match="future"):
        read_result(token, keys.jwks, "host1", NOW - 61 * SECOND)
    # Clocks that nearly agree are no trouble.
    assert read_result(token, keys.jwks, "host1", NOW - 59 * SECOND).status == "affirming"


def test_result_of_another_host_is_refused(keys):
    token = keys.issuer.issue(host(), result())
    with pytest.raises(ResultError, match="not this host"):
        read_result(token, keys.jwks, "host2", NOW)


def test_launch_record_is_no_result(keys):
    """Both are signed with one key: what they say differs."""
    signer = records.load_signer(keys.directory / "key.pem")
    token = signer.sign_claims({"iss": "i", "iat": 1, "jti": "j"}, "e2etrust-launch+jwt")
    with pytest.raises(ResultError):
        read_result(token, keys.jwks, "host1", NOW)


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_algorithm_of_the_attackers_choice_is_refused(keys, alg):
    head, claims, _ = keys.issuer.issue(host(), result()).split(".")
    header, _ = of_token(f"{head}.{claims}.")
    other = base64.urlsafe_b64encode(json.dumps({**header, "alg": alg}).encode()).rstrip(b"=")
    forged = base64.urlsafe_b64encode(hashlib.sha256(other).digest()).rstrip(b"=").decode()
    with pytest.raises(ResultError):
        read_result(f"{other.decode()}.{claims}.{forged}", keys.jwks, "host1", NOW)


@pytest.mark.parametrize("suite", [ECC_P256_SHA256.name, SM2_SM3.name])
def test_key_that_is_not_published_is_refused(keys, suite):
    token = keys.issuer.issue(host(suite), result())
    others = records.RecordSigner(ec.generate_private_key(ec.SECP256R1())).jwk
    with pytest.raises(ResultError, match="key set"):
        read_result(token, {"keys": [others]}, "host1", NOW)


@pytest.mark.parametrize("token", ["", "a.b.c", "....", "a" * 100])
def test_what_is_no_token_is_refused(keys, token):
    with pytest.raises(ResultError):
        read_result(token, keys.jwks, "host1", datetime.now(UTC))


# --- the SM2 key's file -----------------------------------------------------------------------


def test_sm2_key_is_its_owners_only_and_never_written_over(tmp_path):
    path = tmp_path / "sm2.pem"
    sm2_records.create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SigningKeyError):
        sm2_records.create_key(path)
    path.chmod(0o640)
    with pytest.raises(SigningKeyError, match="others"):
        sm2_records.load_signer(path)


def test_key_of_another_curve_is_refused_with_what_to_do(tmp_path):
    records.create_key(tmp_path / "key.pem")
    with pytest.raises(SigningKeyError, match="SM2") as caught:
        sm2_records.load_signer(tmp_path / "key.pem")
    assert "--sm2" in caught.value.remedy
