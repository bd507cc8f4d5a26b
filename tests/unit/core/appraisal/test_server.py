# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.appraisal.server import verify_server
from e2etrust_core.evidence.event_log import parse_event_log
from e2etrust_core.evidence.model import GuestEvidence, HostEvidence, RunningDomain
from e2etrust_core.evidence.replay import replay
from e2etrust_core.launch import (
    LaunchMeasurement,
    LaunchRequest,
    launch_binding,
    server_binding,
)
from e2etrust_core.messages import LaunchRecord, LeaseGrant, ServerEvidence
from tests.unit.core.event_log_writer import agile_log, event
from tests.unit.core.software_tpm import SoftwareTpm

NONCE, SECRET = b"n" * 32, b"s" * 32
HOST_PCRS = {"sha256": [0, 7]}
GUEST_PCRS = {"sha256": list(range(8))}
LOG = agile_log(event(0, 8, b"\1" * 32), event(7, 8, b"\2" * 32))
ROWS = [
    "launch-record",
    "launch-host",
    "host-quote",
    "guest-ak",
    "guest-quote",
    "guest-launch",
    "guest-log",
]


class Chain:
    """host -> launch -> guest, good until a test changes a link before it is signed."""

    def __init__(self):
        self.host, self.guest = SoftwareTpm(), SoftwareTpm()
        measurement = LaunchMeasurement("vm-1", b"f" * 32, b"m" * 32, "lease-1")
        self.request = LaunchRequest(measurement, "vm", "p", "i", "f", None)
        self.guest_log = LOG
        self.guest_qualifying = NONCE
        self.activated: bytes | None = SECRET
        self.measured = measurement
        self.change_record = lambda record: record
        self.change_server = lambda server: server
        self.after_launch = lambda: None
        self.policy: HostPolicy | None = None
        self.secret: bytes | None = SECRET
        self.challenged = self.guest.identity

    def record(self) -> LaunchRecord:
        domains = [RunningDomain("x", "y", False, None)]
        quote = self.host.quote(launch_binding(b"l" * 32, self.request, domains), HOST_PCRS)
        return LaunchRecord(
            "verifier",
            0,
            "launch-1",
            "host1",
            self.host.ek_public,
            self.host.ak_public,
            b"l" * 32,
            HostEvidence(quote, None, domains),
            self.request,
            LeaseGrant("lease-1", 60.0),
            "compute",
        )

    def server(self) -> ServerEvidence:
        log = parse_event_log(LOG)
        self.guest.pcrs["sha256"].update(replay(log, "sha256", self.measured.hcrtm_pcr0()))
        quote = self.guest.quote(self.guest_qualifying, GUEST_PCRS)
        guest = GuestEvidence(self.guest.identity, quote, self.guest_log, self.activated)
        host_quote = self.host.quote(server_binding(NONCE, "launch-1", guest), HOST_PCRS)
        return ServerEvidence("host1", "launch-1", self.guest.identity, guest, host_quote)

    def verify(self):
        record = self.change_record(self.record())
        self.after_launch()
        server = self.change_server(self.server())
        return verify_server(
            record, server, NONCE, self.secret, self.policy, challenged=self.challenged
        )


@pytest.fixture
def chain() -> Chain:
    return Chain()


def failed(chain: Chain) -> dict[str, str]:
    verdict = chain.verify()
    assert not verdict.trusted
    return {row.check: row.code for row in verdict.failed if row.code != "NOT_REACHED"}


def test_good_chain_passes_row_by_row(chain):
    verdict = chain.verify()
    assert verdict.trusted, verdict.failed
    assert [row.check for row in verdict.checks] == ROWS


def test_record_of_another_request_is_not_what_the_host_signed(chain):
    other = replace(chain.request, measurement=replace(chain.measured, machine=b"x" * 32))
    chain.change_record = lambda record: replace(record, request=other)
    assert failed(chain)["launch-record"] == "NONCE_MISMATCH"


def test_record_with_domains_left_out_is_not_what_the_host_signed(chain):
    chain.change_record = lambda r: replace(r, evidence=replace(r.evidence, domains=[]))
    assert failed(chain)["launch-record"] == "NONCE_MISMATCH"


def test_record_with_another_hosts_key_is_refused(chain):
    other = SoftwareTpm()
    chain.change_record = lambda record: replace(record, host_ak_public=other.ak_public)
    assert failed(chain)["launch-record"] == "AK_FOREIGN"


@pytest.mark.parametrize("change", [{"launch": "launch-2"}, {"host": "host2"}])
def test_evidence_of_another_launch_or_host_is_refused(chain, change):
    chain.change_server = lambda server: replace(server, **change)
    assert failed(chain)["launch-host"] == "RECORD_FOREIGN"


def test_record_of_another_lease_than_measured_is_refused(chain):
    chain.change_record = lambda record: replace(record, lease=LeaseGrant("lease-2", 60.0))
    assert failed(chain) == {"launch-host": "RECORD_FOREIGN"}


def test_guest_that_another_host_signed_with_is_refused(chain):
    other = SoftwareTpm()

    def relay(server):
        binding = server_binding(NONCE, "launch-1", server.guest)
        return replace(server, host_quote=other.quote(binding, HOST_PCRS))

    chain.change_server = relay
    assert failed(chain) == {"host-quote": "AK_FOREIGN"}


def test_guest_swapped_behind_the_hosts_signature_is_refused(chain):
    chain.change_server = lambda s: replace(
        s, guest=replace(s.guest, event_log=LOG + b""[:0] + event(3, 8, b"\3" * 32))
    )
    assert failed(chain)["host-quote"] == "NONCE_MISMATCH"


@pytest.mark.parametrize("change", [{"reset_count": 6}, {"restart_count": 0}, {"clock": 999}])
def test_host_that_was_reset_or_set_back_since_is_refused(chain, change):
    chain.host.restart_count = 1
    chain.after_launch = lambda: vars(chain.host).update(change)
    assert failed(chain) == {"host-quote": "HOST_REBOOTED"}


def test_host_that_changed_since_is_refused_by_pcr(chain):
    chain.after_launch = lambda: chain.host.pcrs["sha256"].update({7: bytes(32)})
    verdict = chain.verify()
    assert [(r.check, r.code) for r in verdict.failed] == [("host-quote", "HOST_CHANGED")]
    assert "sha256:7" in verdict.failed[0].reason


def test_tenants_own_policy_is_a_row(chain):
    values = chain.host.pcrs["sha256"]
    chain.policy = HostPolicy("mine", ["*"], {"sha256": {7: [values[7]]}})
    assert chain.verify().trusted
    chain.policy = HostPolicy("mine", ["*"], {"sha256": {7: [bytes(32)]}})
    assert failed(chain) == {"host-policy": "PCR_MISMATCH"}


def test_evidence_of_the_first_round_alone_is_not_enough(chain):
    chain.change_server = lambda server: replace(server, guest=None, host_quote=None)
    assert failed(chain) == {
        "host-quote": "GUEST_EVIDENCE_ABSENT",
        "guest-ak": "GUEST_EVIDENCE_ABSENT",
    }


@pytest.mark.parametrize("missing", ["guest", "host_quote"])
def test_one_half_of_the_second_round_is_not_enough(chain, missing):
    chain.change_server = lambda server: replace(server, **{missing: None})
    assert failed(chain)["host-quote"] == "GUEST_EVIDENCE_ABSENT"


@pytest.mark.parametrize("answer", [None, b"", b"x" * 32])
def test_credential_that_was_not_opened_is_refused(chain, answer):
    chain.activated = answer
    assert failed(chain) == {"guest-ak": "GUEST_AK_UNPROVEN"}


def test_no_credential_sent_proves_nothing(chain):
    chain.secret = None
    assert failed(chain) == {"guest-ak": "GUEST_AK_UNPROVEN"}


def test_cve_2021_3406_vtpm_opens_the_credential_and_a_software_key_quotes(chain):
    chain.challenged = SoftwareTpm().identity
    assert failed(chain) == {"guest-ak": "GUEST_AK_UNPROVEN"}


@pytest.mark.parametrize("told", ["in the evidence", "beside it"])
def test_other_keys_than_the_credential_was_made_for_are_refused(chain, told):
    other = SoftwareTpm().identity

    def swapped(server):
        if told == "beside it":
            return replace(server, identity=other)
        guest = replace(server.guest, identity=other)
        quote = chain.host.quote(server_binding(NONCE, "launch-1", guest), HOST_PCRS)
        return replace(server, guest=guest, host_quote=quote)

    chain.change_server = swapped
    assert failed(chain) == {"guest-ak": "GUEST_AK_UNPROVEN"}


def test_guest_quote_for_another_nonce_is_refused(chain):
    chain.guest_qualifying = b"o" * 32
    assert failed(chain) == {"guest-quote": "NONCE_MISMATCH"}


@pytest.mark.parametrize("change", [{"lease": "old"}, {"machine": b"x" * 32}, {"instance": "vm-2"}])
def test_vtpm_that_carries_another_launch_is_refused(chain, change):
    chain.measured = replace(chain.measured, **change)
    assert failed(chain)["guest-launch"] == "LAUNCH_NOT_MEASURED"


def test_guest_log_that_does_not_come_to_its_pcrs_is_refused(chain):
    chain.guest_log = LOG + event(5, 8, b"\3" * 32)
    assert failed(chain) == {"guest-log": "GUEST_LOG_MISMATCH"}


def test_unreadable_guest_log_is_a_failed_row(chain):
    chain.guest_log = b"junk"
    assert failed(chain) == {
        "guest-launch": "EVENT_LOG_MALFORMED",
        "guest-log": "EVENT_LOG_MALFORMED",
    }
