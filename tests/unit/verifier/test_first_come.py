# SPDX-License-Identifier: Apache-2.0
"""Whose name it is: a name that nobody has yet goes to who comes first, unless somebody said."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_core.messages import EnrolAnswer, EnrolRequest
from e2etrust_verifier.api import enrolments
from e2etrust_verifier.db import events, hosts
from e2etrust_verifier.db.models import Host
from e2etrust_verifier.trust import enrolment, inventory, operator
from e2etrust_verifier.trust.endorsement import Endorsement
from e2etrust_verifier.trust.errors import (
    EkNotPinned,
    HostKnown,
    HostOther,
    HostUnexpected,
    TpmEnrolled,
)
from e2etrust_verifier.trust.surroundings import Settings, Surroundings, utc_now
from tests.unit.core.software_tpm import SoftwareTpm

OWN, OTHER = SoftwareTpm(), SoftwareTpm()


class Vouched(Endorsement):
    """A maker vouches for every TPM, as for one that an attacker bought."""

    def accept(self, host, ek_public, ek_certificate, now, expected=(), chain=b""):
        if expected:
            return super().accept(host, ek_public, ek_certificate, now, expected, chain)
        return "certificate of a maker"


@pytest.fixture
def around(database):
    return Surroundings(
        db=database,
        settings=Settings(only_expected_hosts=True),
        policies=SimpleNamespace(),
        endorsement=Vouched(None, None),
        signer=SimpleNamespace(),
        keys=SimpleNamespace(),
        changed=lambda _host: None,
    )


def wish(tpm: SoftwareTpm, host: str = "host1") -> EnrolRequest:
    return EnrolRequest(host, "ecc-p256-sha256", tpm.ek_public, tpm.ak_public)


def key(tpm: SoftwareTpm) -> str:
    return hashlib.sha256(tpm.ek_public).hexdigest()


def enrol(around, tpm: SoftwareTpm, host: str = "host1") -> None:
    record = Host(
        name=host,
        suite="ecc-p256-sha256",
        ek_public=tpm.ek_public,
        ek_accepted_by="certificate of a maker",
        ak_public=tpm.ak_public,
        ak_name=name_of(tpm.ak_public),
        enrolled_at=utc_now(),
    )
    around.db.write(lambda s: hosts.add(s, record, held=True, now=utc_now()))


def test_name_that_no_operator_spoke_of_goes_to_nobody(around):
    with pytest.raises(HostUnexpected):
        enrolment.begin(around, wish(OTHER))
    (event,) = around.db.read(lambda s: events.newest(s, 1))
    assert (event.host, event.ek_sha256) == ("host1", key(OTHER))
    assert f"claims EK SHA-256, not proved: {key(OTHER)}" in event.message


def test_name_that_an_operator_spoke_of_goes_to_that_tpm_only(around):
    inventory.expect(around.db, "host1", [key(OWN)], utc_now())
    assert enrolment.begin(around, wish(OWN)).enrolment
    with pytest.raises(Exception, match="another EK"):
        enrolment.begin(around, wish(OTHER))


def test_first_come_is_the_rule_where_nothing_else_is_said(around):
    """What new_hosts = expected is against."""
    object.__setattr__(around, "settings", Settings())
    assert enrolment.begin(around, wish(OTHER)).enrolment


def test_both_tpms_that_ask_for_a_name_are_seen(around):
    enrol(around, OTHER)
    with pytest.raises(HostKnown):
        enrolment.begin(around, wish(OWN))
    (host,), refused = around.db.read(
        lambda s: ([hosts.find(s, "host1")], events.keys_refused(s, ["host1", "host2"]))
    )
    told = enrolments._told(host, refused)
    assert (told.ek_sha256, told.refused_ek_sha256) == (key(OTHER), [key(OWN)])


def test_many_keys_that_ask_for_a_name_are_told_the_last_ones_first(around):
    enrol(around, OTHER)

    def ask(session):
        for number in range(40):
            told = {"host": "host1", "ek_sha256": f"{number:064x}"}
            events.add(session, "enrolment-refused", "refused", now=utc_now(), **told)

    around.db.write(ask)
    (keys,) = around.db.read(lambda s: events.keys_refused(s, ["host1"])).values()
    assert (len(keys), int(keys[0], 16)) == (events.KEYS_TOLD, 39)


@pytest.mark.parametrize("digest", [None, key(OWN)], ids=["of the release before", "of this"])
def test_tpm_of_a_good_host_speaks_for_no_other_machine(around, digest):
    """Whoever may use a good host's TPM would have a machine of his own trusted by it."""
    object.__setattr__(around, "settings", Settings())
    enrol(around, OWN)
    enrol(around, OTHER, "host3")
    around.db.write(lambda s: setattr(hosts.find(s, "host1"), "ek_sha256", digest))
    with pytest.raises(TpmEnrolled):
        enrolment.begin(around, wish(OWN, "host2"))
    around.db.write(lambda s: operator.forget(s, "host1", utc_now()))
    assert enrolment.begin(around, wish(OWN, "host2")).enrolment


def test_tpm_that_asks_for_two_names_at_once_gets_one(around, monkeypatch):
    object.__setattr__(around, "settings", Settings())
    monkeypatch.setattr(enrolment.secrets, "token_bytes", bytes)
    asked = [enrolment.begin(around, wish(OWN, name)).enrolment for name in ("host1", "host2")]
    monkeypatch.setattr(hosts, "is_enrolled", lambda *_: False)  # as they meet in the database
    first, second = (EnrolAnswer(one, bytes(32)) for one in asked)
    assert enrolment.finish(around, first).host == "host1"
    with pytest.raises(HostKnown):
        enrolment.finish(around, second)


def test_tpm_that_an_operator_named_for_a_host_gets_no_other_name(around):
    object.__setattr__(around, "settings", Settings())
    inventory.expect(around.db, "host1", [key(OWN)], utc_now())
    with pytest.raises(EkNotPinned):
        enrolment.begin(around, wish(OWN, "host2"))
    inventory.expect(around.db, "host2", [key(OWN)], utc_now())
    assert enrolment.begin(around, wish(OWN, "host2")).enrolment


def test_operator_who_means_another_machine_approves_none(around):
    enrol(around, OTHER)
    with pytest.raises(HostOther):
        operator.approve(around.db, "host1", utc_now(), ek_sha256=key(OWN))
    assert around.db.read(lambda s: hosts.state(s, "host1")).held
    operator.approve(around.db, "host1", utc_now(), ek_sha256=key(OTHER).upper())
    assert not around.db.read(lambda s: hosts.state(s, "host1")).held
