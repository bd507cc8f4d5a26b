# SPDX-License-Identifier: Apache-2.0
"""Enrolment against real TPMs, on both databases."""

from __future__ import annotations

import base64
import hashlib
import secrets
from ssl import PEM_cert_to_DER_cert

import pytest

from e2etrust_core import messages
from e2etrust_core.suites import RSA2048_SHA256, SM2_SHA256
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.errors import CredentialRefused
from e2etrust_core.tpm.key_unwrap import unwrap_key
from e2etrust_core.tpm.keys import create_ak, read_ek
from e2etrust_verifier.db import events, hosts
from e2etrust_verifier.trust import inventory
from tests.functional.verifier.host import Host, refused
from tests.functional.verifier.key_manager import GRANTED, IMAGE_KEY


def test_enrolled_host_has_the_keys_it_proved(laboratory):
    host = laboratory.host()
    host.enrol()
    record = laboratory.around.db.read(lambda s: hosts.find(s, "host1"))
    assert (record.ek_public, record.ak_public) == (host.ek.public, host.ak.public)
    assert record.ek_accepted_by.startswith("certificate")


def test_same_keys_enrol_again_without_a_challenge(laboratory):
    host = laboratory.host()
    host.enrol()
    assert host.enrol_begin().enrolment == ""


def test_cve_2025_13609_known_name_with_other_keys_is_refused_and_the_record_stays(laboratory):
    host, intruder = laboratory.host(), laboratory.host("host1", laboratory.tpms())
    host.enrol()
    assert host.attest().trusted
    with refused("HOST_KNOWN"):
        intruder.enrol_begin()
    record = laboratory.around.db.read(lambda s: hosts.find(s, "host1"))
    assert record.ak_public == host.ak.public
    assert host.delta().hosts[0].seconds > 50


def test_of_two_enrolments_under_way_for_one_name_only_one_is_written(laboratory):
    host, other = laboratory.host(), laboratory.host("host1", laboratory.tpms())
    first, second = host.enrol_begin(), other.enrol_begin()

    def finish(who, challenge):
        secret = activate_credential(
            who.tpm, who.known, challenge.credential_blob, challenge.encrypted_secret
        )
        return who.ask(
            messages.EnrolResult,
            "enrol_finish",
            messages.EnrolAnswer(challenge.enrolment, secret),
        )

    finish(host, first)
    with refused("HOST_KNOWN"):
        finish(other, second)
    record = laboratory.around.db.read(lambda s: hosts.find(s, "host1"))
    assert record.ak_public == host.ak.public


def test_cve_2023_38201_wrong_answer_kills_the_challenge_and_tells_nothing(laboratory):
    host = laboratory.host()
    challenge = host.enrol_begin()
    right = activate_credential(
        host.tpm, host.known, challenge.credential_blob, challenge.encrypted_secret
    )
    wrong = messages.EnrolAnswer(challenge.enrolment, secrets.token_bytes(32))
    with refused("ENROLMENT_WRONG") as caught:
        host.ask(messages.EnrolResult, "enrol_finish", wrong)
    told = str(vars(caught.value))
    for secret in (right, hashlib.sha256(right).digest()):
        assert secret.hex() not in told
        assert base64.b64encode(secret).decode() not in told
    with refused("ENROLMENT_UNKNOWN"):
        host.ask(
            messages.EnrolResult,
            "enrol_finish",
            messages.EnrolAnswer(challenge.enrolment, right),
        )


def test_cve_2021_3406_credential_for_a_tpms_ek_does_not_open_for_another_tpms_ak(laboratory):
    host, other = laboratory.host(), laboratory.host("host2", laboratory.tpms())
    challenge = host.enrol_begin(ak_public=other.ak.public)
    with pytest.raises(CredentialRefused):
        activate_credential(
            host.tpm, host.known, challenge.credential_blob, challenge.encrypted_secret
        )


def test_cve_2021_3406_certificate_of_another_tpm_is_refused(laboratory):
    host, other = laboratory.host(), laboratory.host("host2", laboratory.tpms())
    with refused("EK_CERT_OTHER_KEY"):
        host.enrol_begin(ek_certificate=other.ek.certificate)


def test_intermediate_that_the_host_sends_leads_to_the_bundles_root(laboratory):
    host, ca = laboratory.host(), laboratory.first.ca
    root = (ca / "swtpm-localca-rootca-cert.pem").read_bytes()
    chain = PEM_cert_to_DER_cert((ca / "issuercert.pem").read_text())
    (laboratory.directory / "ek-ca.pem").write_bytes(root)
    with refused("EK_ISSUER_UNKNOWN"):
        host.enrol_begin()
    with refused("EK_CHAIN_UNREADABLE"):
        host.enrol_begin(ek_chain=chain[:-1])
    host.enrol(ek_chain=chain)
    record = laboratory.around.db.read(lambda s: hosts.find(s, "host1"))
    assert record.ek_accepted_by.startswith("certificate")


def test_chain_of_any_length_is_no_matter_where_the_key_is_expected(laboratory):
    host = laboratory.host()
    expect(laboratory, host)
    host.enrol(ek_chain=bytes(1_000_000))


def expect(laboratory, host, name="host1", **more):
    digest = hashlib.sha256(host.ek.public).hexdigest()
    around = laboratory.around
    return inventory.expect(around.db, name, [digest], around.now(), "ops", **more)


def test_host_without_certificate_is_refused_unless_its_ek_is_expected(laboratory):
    host = laboratory.host()
    with refused("EK_CERT_ABSENT"):
        host.enrol_begin(ek_certificate=None)
    expect(laboratory, host)
    host.enrol()
    record = laboratory.around.db.read(lambda s: hosts.find(s, "host1"))
    assert record.ek_accepted_by == "inventory"


def test_host_of_sm2_keys_alone_enrols_by_the_operators_word_and_starts_servers(laboratory):
    host = Host("host1", Tpm(laboratory.first.tcti), laboratory.call, SM2_SHA256, "sm2")
    with refused("EK_CERT_ABSENT"):
        host.enrol_begin()
    expect(laboratory, host)
    host.enrol()
    assert host.attest().trusted
    grant = host.launch(key_id=GRANTED)
    assert unwrap_key(host.tpm, host.known, grant.wrapped_key) == IMAGE_KEY


def test_host_enrols_by_the_certificate_of_its_p384_key_and_starts_servers(laboratory):
    host = Host("host1", Tpm(laboratory.first.tcti), laboratory.call, ek_kind="ecc-p384")
    host.enrol()
    assert host.attest().trusted
    grant = host.launch(key_id=GRANTED)
    assert unwrap_key(host.tpm, host.known, grant.wrapped_key) == IMAGE_KEY


def test_hosts_of_sm2_and_of_standard_keys_live_in_one_cloud(laboratory):
    sm2 = Host("host1", Tpm(laboratory.first.tcti), laboratory.call, SM2_SHA256, "sm2")
    standard = laboratory.host("host2")
    expect(laboratory, sm2)
    for host in (sm2, standard):
        host.enrol()
        assert host.attest().trusted
    leased = {one.host for one in standard.delta().hosts if one.seconds > 0}
    assert leased == {"host1", "host2"}


def test_certificate_of_another_key_beside_an_sm2_key_is_of_no_use(laboratory):
    host = Host("host1", Tpm(laboratory.first.tcti), laboratory.call, SM2_SHA256, "sm2")
    with refused("EK_CERT_OTHER_KEY"):
        host.enrol_begin(ek_certificate=read_ek(host.tpm).certificate)


def test_genuine_tpm_is_refused_where_another_is_expected(laboratory):
    host, other = laboratory.host(), laboratory.host("host2", laboratory.tpms())
    expect(laboratory, other)
    with refused("EK_NOT_PINNED"):
        host.enrol_begin()


def test_enrolment_under_way_is_held_against_what_is_expected_when_it_ends(laboratory):
    host, other = laboratory.host(), laboratory.host("host2", laboratory.tpms())
    challenge = host.enrol_begin()
    secret = activate_credential(
        host.tpm, host.known, challenge.credential_blob, challenge.encrypted_secret
    )
    expect(laboratory, other)
    with refused("EK_NOT_PINNED"):
        host.ask(
            messages.EnrolResult, "enrol_finish", messages.EnrolAnswer(challenge.enrolment, secret)
        )
    assert laboratory.around.db.read(lambda s: hosts.find(s, "host1")) is None


def test_replaced_tpm_enrols_after_the_operators_act_and_the_old_one_does_not(laboratory):
    old, new = laboratory.host(), laboratory.host("host1", laboratory.tpms())
    old.enrol()
    assert old.attest().trusted
    with refused("HOST_KNOWN"):
        new.enrol_begin()
    expect(laboratory, new, replace=True)
    with refused("HOST_UNKNOWN"):
        old.challenge()
    with refused("EK_NOT_PINNED"):
        old.enrol_begin()
    new.enrol()
    record = laboratory.around.db.read(lambda s: hosts.find(s, "host1"))
    assert record.ek_public == new.ek.public


def test_attestation_key_of_another_suite_is_refused(laboratory):
    host = laboratory.host()
    other = create_ak(host.tpm, RSA2048_SHA256, read_ek(host.tpm).kind)
    with refused("AK_REFUSED"):
        host.enrol_begin(ak_public=other.public)


def test_suite_that_nobody_knows_is_refused_by_name(laboratory):
    with refused("SUITE_UNSUPPORTED"):
        laboratory.host().enrol_begin(suite="sm2-md5")


@pytest.mark.parametrize("name", ["", "host1\nhost2", "../host1", "-host", "h" * 300, "h\u00f6st"])
def test_cve_2022_23949_name_outside_the_alphabet_is_refused(laboratory, name):
    with refused("HOST_NAME_WRONG"):
        laboratory.host().enrol_begin(host=name)
    assert not laboratory.around.db.read(lambda s: events.newest(s, 10))


def test_enrolment_that_takes_too_long_is_dead(laboratory):
    host = laboratory.host()
    challenge = host.enrol_begin()
    secret = activate_credential(
        host.tpm, host.known, challenge.credential_blob, challenge.encrypted_secret
    )
    laboratory.later(61)
    with refused("ENROLMENT_UNKNOWN"):
        host.ask(
            messages.EnrolResult,
            "enrol_finish",
            messages.EnrolAnswer(challenge.enrolment, secret),
        )


def test_policy_holds_a_host_to_the_tpm_that_it_was_enrolled_with(laboratory):
    """swtpm's certificates name IBM's number as maker, and its authority is in ek_ca_bundle."""
    host = laboratory.host()
    host.enrol()
    laboratory.policy(tpm="{manufacturers: ['id:00001014'], ek_accepted_by: [certificate]}")
    assert host.attest().trusted
    laboratory.policy(tpm="{manufacturers: [INTC]}")
    failed = [check for check in host.attest().checks if check.outcome == "fail"]
    assert [(check.check, check.code) for check in failed] == [
        ("tpm-identity", "TPM_MAKER_REFUSED")
    ]
