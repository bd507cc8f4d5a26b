# SPDX-License-Identifier: Apache-2.0
"""Launches with real quotes and keys wrapped for real TPMs, on both databases."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import time
import uuid
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest

from e2etrust_core import messages, wire
from e2etrust_core.evidence.model import RunningDomain
from e2etrust_core.evidence.quote import verify_quote
from e2etrust_core.launch import launch_binding
from e2etrust_core.messages import LaunchRecord
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.errors import UnwrapRefused
from e2etrust_core.tpm.key_unwrap import unwrap_key
from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_verifier.db import events, launches, refusals
from e2etrust_verifier.trust import operator, records
from e2etrust_verifier.trust.surroundings import utc_now
from tests.functional.verifier.host import refused
from tests.functional.verifier.key_manager import DENIED, GRANTED, IMAGE_KEY, OWNED

UNKNOWN = "00000000-2222-3333-4444-555555555555"


@pytest.fixture
def host(host):
    assert host.attest().trusted
    return host


@pytest.fixture
def instance() -> str:
    return str(uuid.uuid4())


def rows(laboratory, instance):
    return laboratory.around.db.read(lambda s: launches.of_instance(s, instance))


def told(laboratory, instance):
    return laboratory.around.db.read(lambda s: refusals.of_instance(s, instance))


def keys(laboratory):
    class Conf:
        class verifier:  # noqa: N801
            signing_key = laboratory.directory / "signing-key.pem"
            sm2_signing_key = ""
            retired_keys: list[str] = []

    return records.published_keys(Conf)


def test_key_opens_on_that_host_and_no_other(laboratory, host):
    grant = host.launch(key_id=GRANTED)
    assert unwrap_key(host.tpm, host.known, grant.wrapped_key) == IMAGE_KEY
    other = laboratory.tpms()
    with pytest.raises(UnwrapRefused):
        unwrap_key(Tpm(other.tcti), host.known, grant.wrapped_key)


def test_key_does_not_open_after_a_pcr_changed(laboratory, host):
    grant = host.launch(key_id=GRANTED)
    extend_pcr(host.tpm, 9, {"sha256": b"\x01" * 32})
    with pytest.raises(UnwrapRefused):
        unwrap_key(host.tpm, host.known, grant.wrapped_key)


def test_record_is_signed_and_its_evidence_can_be_checked_again(laboratory, host):
    ask = host.launch_ask()
    grant = host.ask(messages.LaunchGrant, "launch", ask)
    kid = jwt.get_unverified_header(grant.record)["kid"]
    published = jwt.PyJWKSet.from_dict(json.loads(json.dumps(keys(laboratory))))
    claims = jwt.decode(grant.record, published[kid].key, algorithms=["ES256"])
    record = wire.from_dict(LaunchRecord, claims)
    assert (record.jti, record.host, record.request) == (grant.launch, "host1", ask.request)
    binding = launch_binding(record.nonce, record.request, record.evidence.domains)
    selection = {"sha256": [0, 7, 9]}
    quote = record.evidence.quote
    assert verify_quote(quote, record.host_ak_public, binding, selection).pcrs == quote.pcrs


def test_image_key_is_in_no_log_no_record_and_no_table(laboratory, host, caplog):
    caplog.set_level(logging.DEBUG)
    grant = host.launch(key_id=GRANTED)
    dumped = [grant.record, caplog.text]
    with laboratory.around.db.engine.connect() as connection:
        for table in ("launches", "events", "refusals", "verdicts", "checks", "host_states"):
            dumped.append(str(connection.exec_driver_sql(f"SELECT * FROM {table}").all()))
    text = "".join(dumped).lower()
    payload = jwt.decode(grant.record, options={"verify_signature": False})
    text += str(payload).lower()
    for form in (IMAGE_KEY.hex(), base64.b64encode(IMAGE_KEY).decode().lower(), str(IMAGE_KEY)):
        assert form[4:40] not in text


def test_recorded_launch_covers_its_server_and_no_other(host, instance):
    grant = host.launch(instance)
    other = str(uuid.uuid4())
    assert host.attest([RunningDomain(instance, "vm", True, grant.launch)]).trusted
    assert not host.attest([RunningDomain(other, "vm", True, grant.launch)]).trusted


def test_server_that_ended_while_the_host_collected_its_list_takes_no_host_down(host, instance):
    grant = host.launch(instance)
    answer = host.answer(host.challenge(), [RunningDomain(instance, "vm", True, grant.launch)])
    ended = messages.LaunchUpdate("host1", grant.launch, "ended")
    host.tell("launch_update", ended)
    assert host.send(answer).trusted


def test_launch_that_ended_before_covers_nothing_any_more(laboratory, host, instance):
    grant = host.launch(instance)
    for state in ("started", "ended", "started"):
        change = messages.LaunchUpdate("host1", grant.launch, state)
        host.tell("launch_update", change)
    assert rows(laboratory, instance)[0].state == "ended"
    laboratory.later(6)  # workers' clocks agree within 5
    assert not host.attest([RunningDomain(instance, "vm", True, grant.launch)]).trusted


def test_launch_of_another_host_cannot_be_ended(laboratory, host, instance):
    grant = host.launch(instance)
    other = laboratory.host("host2", laboratory.tpms())
    other.enrol()
    with refused("LAUNCH_UNKNOWN"):
        other.tell("launch_update", messages.LaunchUpdate("host2", grant.launch, "ended"))
    assert rows(laboratory, instance)[0].state == "granted"


def test_report_of_somebody_who_has_only_the_buss_password_is_refused(laboratory, host, instance):
    grant = host.launch(instance)
    stranger = laboratory.host("host1", laboratory.tpms())
    ended = messages.LaunchUpdate("host1", grant.launch, "ended")
    refusal = messages.Refusal("AGENT_DOWN", "made up", "pay here")
    made_up = messages.RefusalReport("host1", instance, None, refusal, time.time())
    for method, report in (("launch_update", ended), ("report_refusal", made_up)) * 2:
        with refused("REPORT_UNPROVEN"):
            host.ask(messages.Nothing, method, report)
        with refused("AK_FOREIGN"):
            stranger.tell(method, report)
    assert rows(laboratory, instance)[0].state == "granted"
    assert told(laboratory, instance) == []
    kinds = [e.kind for e in laboratory.around.db.read(lambda s: events.newest(s, 100))]
    # However often it is tried, operators are told each thing once in a while.
    assert kinds.count("report-refused") == 2


def test_report_altered_or_sent_by_another_method_is_refused(laboratory, host, instance):
    grant = host.launch(instance)
    failed = messages.LaunchUpdate("host1", grant.launch, "started", "all well")
    proven = host.vouched("launch_update", failed)
    for changed in (replace(proven, state="ended"), replace(proven, reason="nothing is well")):
        with refused("NONCE_MISMATCH"):
            host.ask(messages.Nothing, "launch_update", changed)
    with refused("NONCE_MISMATCH"):
        host.ask(messages.Nothing, "launch_update", host.vouched("report_refusal", failed))
    quoted = host.answer(host.challenge()).evidence.quote
    with refused("NONCE_MISMATCH"):
        host.ask(messages.Nothing, "launch_update", replace(failed, proof=quoted))
    assert rows(laboratory, instance)[0].state == "granted"


def test_report_sent_again_changes_nothing(laboratory, host, instance):
    grant = host.launch(instance)
    started, ended = (
        host.vouched("launch_update", messages.LaunchUpdate("host1", grant.launch, state))
        for state in ("started", "ended")
    )
    for report in (started, ended, started, ended):
        host.ask(messages.Nothing, "launch_update", report)
    assert rows(laboratory, instance)[0].state == "ended"
    refusal = messages.Refusal("AGENT_DOWN", "the agent does not answer", "start it")
    once = host.vouched(
        "report_refusal",
        messages.RefusalReport("host1", instance, None, refusal, time.time()),
    )
    for _ in range(3):
        host.ask(messages.Nothing, "report_refusal", once)
    assert len(told(laboratory, instance)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_launch_that_a_stranger_asks_for_leaves_nothing_for_the_tenant_to_read(
    laboratory, host, instance
):
    """Else whoever has the bus's password pushes out what the host itself said of its refusals."""
    stranger = laboratory.host("host1", laboratory.tpms())
    ask = stranger.launch_ask(instance)
    for asked, code in (
        (ask, "AK_FOREIGN"),
        (replace(ask, nonce=b"n" * 99), "NONCE_UNKNOWN"),
        (replace(ask, host="host9"), "HOST_UNKNOWN"),
    ):
        with refused(code):
            host.ask(messages.LaunchGrant, "launch", asked)
    assert told(laboratory, instance) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_copy_of_an_image_in_another_project_gets_no_key(host, instance):
    """Who has the ciphertext could start it as his own, and read what only its owner may."""
    assert host.launch(instance, key_id=OWNED, project="project1").wrapped_key is not None
    with refused("KEY_DENIED"):
        host.launch(str(uuid.uuid4()), key_id=OWNED, project="project2")
    with refused("KEY_DENIED"):
        host.launch(str(uuid.uuid4()), key_id=OWNED, project=None)


def test_servers_gone_with_the_power_are_closed_by_later_evidence(laboratory, host, instance):
    host.launch(instance)
    assert host.attest().trusted  # its server may not run yet
    assert rows(laboratory, instance)[0].state == "granted"
    laboratory.later(11 * 60)
    assert host.attest().trusted
    assert rows(laboratory, instance)[0].state == "ended"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_server_gone_by_a_challenge_from_before_still_counts_where_it_was_seen_since(
    laboratory, host, instance
):
    """The next challenge comes with a lease and is answered half a minute later."""
    launch = host.launch(instance).launch
    laboratory.later(11 * 60)
    early = host.challenge()
    laboratory.later(10)
    seen = host.answer(host.challenge(), [RunningDomain(instance, "vm", True, launch)])
    assert host.send(host.answer(early)).trusted
    assert rows(laboratory, instance)[0].state == "ended"
    assert host.send(seen).trusted


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_server_that_ended_by_the_clock_of_a_worker_that_is_behind_still_counts(
    laboratory, host, instance
):
    launch = host.launch(instance).launch
    laboratory.later(4)
    seen = host.answer(host.challenge(), [RunningDomain(instance, "vm", True, launch)])
    laboratory.later(-4)
    host.tell("launch_update", messages.LaunchUpdate("host1", launch, "ended", ""))
    assert host.send(seen).trusted


def test_cve_2026_46448_host_that_only_the_scheduler_chose_launches_nothing(laboratory, instance):
    host = laboratory.host()
    host.enrol()
    with refused("LEASE_NONE"):
        host.launch(instance)
    assert [(r.code, r.project, r.told_by) for r in told(laboratory, instance)] == [
        ("LEASE_NONE", "project1", "verifier")
    ]


def test_ossn_0059_host_tampered_with_since_its_lease_launches_nothing(laboratory, host, instance):
    extend_pcr(host.tpm, 9, {"sha256": b"\x01" * 32})
    with refused("PCR_MISMATCH"):
        host.launch(instance, key_id=GRANTED)
    assert host.delta().hosts[0].seconds == 0
    assert rows(laboratory, instance) == []
    assert told(laboratory, instance)[0].code == "PCR_MISMATCH"


def test_lease_that_ends_while_the_key_is_fetched_stops_the_launch(
    laboratory, host, instance, monkeypatch
):
    class Slow:
        def image_key(self, _key_id, _project):
            operator.revoke(laboratory.around.db, "host1", utc_now())
            return IMAGE_KEY

    laboratory.endpoint._around = replace(laboratory.around, keys=Slow())
    with refused("HOST_HELD"):
        host.launch(instance, key_id=GRANTED)
    assert rows(laboratory, instance) == []


def test_launch_measured_under_another_lease_is_refused(host, instance):
    ask = host.launch_ask(instance, lease=str(uuid.uuid4()))
    with refused("LEASE_CHANGED"):
        host.ask(messages.LaunchGrant, "launch", ask)


def test_launch_goes_on_when_the_lease_is_renewed_meanwhile(host, instance):
    ask = host.launch_ask(instance)
    assert host.attest().trusted
    assert host.ask(messages.LaunchGrant, "launch", ask).launch


def test_request_altered_on_the_way_gets_no_key(host, instance):
    ask = host.launch_ask(instance)
    with refused("NONCE_MISMATCH"):
        host.ask(
            messages.LaunchGrant,
            "launch",
            replace(ask, request=replace(ask.request, key_id=GRANTED)),
        )


def test_replayed_launch_is_refused_and_the_host_keeps_its_lease(host):
    ask = host.launch_ask()
    host.ask(messages.LaunchGrant, "launch", ask)
    with refused("NONCE_UNKNOWN"):
        host.ask(messages.LaunchGrant, "launch", ask)
    assert host.delta().hosts[0].seconds > 50


@pytest.mark.parametrize(("key_id", "code"), [(DENIED, "KEY_DENIED"), (UNKNOWN, "KEY_UNKNOWN")])
def test_key_that_cannot_be_had_stops_the_launch_with_a_remedy(
    laboratory, host, instance, key_id, code
):
    with refused(code) as caught:
        host.launch(instance, key_id=key_id)
    assert caught.value.remedy
    assert told(laboratory, instance)[0].remedy == caught.value.remedy
    assert rows(laboratory, instance) == []
    assert host.delta().hosts[0].seconds > 50


@pytest.mark.parametrize(
    "bad",
    [{"project": "a b"}, {"name": "x\ny"}, {"name": "x" * 300}, {"key_id": "../secret"}],
)
def test_request_with_a_field_that_is_none_is_refused(host, bad):
    with refused("INPUT_MALFORMED"):
        host.launch(**bad)


def report(host, server, /, **changes):
    refusal = messages.Refusal("AGENT_DOWN", "the agent does not answer", "start it")
    sent = messages.RefusalReport("host1", server, None, refusal, time.time())
    return host.tell("report_refusal", replace(sent, **changes))


def test_hosts_own_refusal_reaches_the_tenant_of_that_server(laboratory, host, instance):
    host.launch(instance)
    report(host, instance)
    assert [(r.code, r.project, r.told_by) for r in told(laboratory, instance)] == [
        ("AGENT_DOWN", "project1", "host")
    ]


def test_refusal_that_verifier_and_host_both_tell_is_kept_once(laboratory, host, instance):
    with refused("KEY_DENIED") as caught:
        host.launch(instance, key_id=DENIED)
    error = caught.value
    report(host, instance, refusal=messages.Refusal(error.code, error.reason, error.remedy))
    assert len(told(laboratory, instance)) == 1


def test_refusals_of_a_server_do_not_grow_without_bound(laboratory, host, instance):
    start = utc_now() - timedelta(hours=2)
    for n in range(60):
        report(host, instance, at=(start + timedelta(minutes=n)).timestamp())
    assert len(told(laboratory, instance)) == 50


@pytest.mark.parametrize(
    "bad",
    [
        {"instance": "no-uuid"},
        {"refusal": messages.Refusal("bad code", "x")},
        {"project": "p\n"},
    ],
)
def test_malformed_report_is_refused(host, instance, bad):
    with refused("INPUT_MALFORMED"):
        report(host, instance, **bad)


def test_thumbprint_is_that_of_rfc_7638(laboratory):
    key = keys(laboratory)["keys"][0]
    text = json.dumps({k: key[k] for k in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    assert jwt.utils.base64url_encode(digest).decode() == key["kid"]


def test_launch_that_demands_a_level_is_granted_where_the_policy_gives_it(
    laboratory, host, instance
):
    laboratory.policy(level=3)
    grant = host.launch(instance, level=3)
    claims = jwt.decode(grant.record, options={"verify_signature": False})
    record = wire.from_dict(LaunchRecord, claims)
    assert (record.request.level, record.lease.level) == (3, 3)


def test_launch_that_demands_a_higher_level_is_refused_and_gets_no_key(laboratory, host, instance):
    laboratory.policy(level=2)
    with refused("LEVEL_TOO_LOW") as caught:
        host.launch(instance, level=3, key_id=GRANTED)
    assert caught.value.remedy
    assert rows(laboratory, instance) == []
    (row,) = told(laboratory, instance)
    assert (row.code, row.project) == ("LEVEL_TOO_LOW", "project1")
    # The host itself stands as before.
    assert host.delta().hosts[0].seconds > 0


def test_level_that_was_altered_on_the_way_is_refused(host, instance):
    ask = host.launch_ask(instance, level=1)
    lied = replace(ask, request=replace(ask.request, level=0))
    with refused("NONCE_MISMATCH"):
        host.ask(messages.LaunchGrant, "launch", lied)


@pytest.mark.parametrize("level", [-1, 10])
def test_level_out_of_the_scale_is_refused_unread(host, instance, level):
    with refused("INPUT_MALFORMED"):
        host.launch(instance, level=level)
