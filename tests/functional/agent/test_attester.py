# SPDX-License-Identifier: Apache-2.0
"""The agent's identity and evidence on a real TPM."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2etrust_agent.attester import Attester
from e2etrust_agent.domains import QemuDomain
from e2etrust_agent.errors import DomainsUnreadableError, IdentityError, StateError
from e2etrust_agent.identity import forget_identity, identity_path, load_or_create
from e2etrust_agent.launches import LaunchBook
from e2etrust_agent.measurement_logs import MeasurementLogs
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.key_wrap import wrap_for_host
from e2etrust_core.evidence.later_log import measured_log
from e2etrust_core.evidence.model import PcrSelection, PcrValues, Quote
from e2etrust_core.evidence.quote import verify_quote
from e2etrust_core.evidence.replay import replay
from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_core.launch import attest_binding
from e2etrust_core.messages import Challenge
from e2etrust_core.tpm.device import Tpm, open_tpm
from e2etrust_core.tpm.ek_templates import EkKind
from e2etrust_core.tpm.errors import PcrsUnstable, UnwrapRefused
from e2etrust_core.tpm.pcr import extend_pcr, read_pcrs
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.unit.core.event_log_writer import agile_log
from tests.unit.core.evidence.test_canonical_log import phase, sequence

SELECTION = {"sha256": [0, 1, 7]}
SUITE = "ecc-p256-sha256"


def attester(tpm: Tpm, directory: Path, domains: list[QemuDomain] | None = None) -> Attester:
    identity = load_or_create(tpm, "host1", SUITE, directory)
    book = LaunchBook(directory / "launches.json", 60)
    return Attester(tpm, identity, MeasurementLogs(), lambda: domains or [], book)


def challenge(event_log: bool = False) -> Challenge:
    return Challenge(b"n" * 32, 30.0, SELECTION, event_log, "lease-1")


@pytest.mark.parametrize("suite", ["ecc-p256-sha256", "rsa2048-sha256"])
def test_identity_is_made_once_and_kept_private(swtpm: str, tmp_path: Path, suite: str) -> None:
    with open_tpm(swtpm) as tpm:
        first = load_or_create(tpm, "host1", suite, tmp_path / "s")
        assert load_or_create(tpm, "host1", suite, tmp_path / "s") == first
    assert first.ek_certificate is not None
    assert identity_path(tmp_path / "s").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("ek", ["rsa2048", "ecc-p256", "sm2", "ecc-p384"])
def test_host_enrols_with_the_endorsement_key_that_is_asked_for(
    swtpm: str, tmp_path: Path, ek: EkKind
) -> None:
    with open_tpm(swtpm) as tpm:
        found = load_or_create(tpm, "host1", "sm2-sha256", tmp_path, ek)
        assert found.ak.ek_kind == ek
        assert load_or_create(tpm, "host1", "sm2-sha256", tmp_path) == found
        other: EkKind = "rsa2048" if ek == "sm2" else "sm2"
        with pytest.raises(IdentityError) as caught:
            load_or_create(tpm, "host1", "sm2-sha256", tmp_path, other)
    assert caught.value.code == "EK_CHANGED"


def test_identity_survives_a_power_cycle(emulated_tpm: EmulatedTpm, tmp_path: Path) -> None:
    with open_tpm(emulated_tpm.tcti) as tpm:
        first = load_or_create(tpm, "host1", SUITE, tmp_path)
        emulated_tpm.power_cycle()
        assert load_or_create(tpm, "host1", SUITE, tmp_path) == first


def test_another_tpm_is_told_and_no_new_identity_is_made(
    swtpm_factory: Callable[[], EmulatedTpm], tmp_path: Path
) -> None:
    one, other = swtpm_factory(), swtpm_factory()
    with open_tpm(one.tcti) as tpm:
        load_or_create(tpm, "host1", SUITE, tmp_path)
    kept = identity_path(tmp_path).read_bytes()
    with open_tpm(other.tcti) as tpm, pytest.raises(IdentityError) as caught:
        load_or_create(tpm, "host1", SUITE, tmp_path)
    assert caught.value.code == "TPM_REPLACED"
    assert identity_path(tmp_path).read_bytes() == kept


def test_cleared_tpm_is_told(swtpm: str, tmp_path: Path) -> None:
    with open_tpm(swtpm) as tpm:
        load_or_create(tpm, "host1", SUITE, tmp_path)
    done = subprocess.run(
        ["tpm2_clear", "-c", "p"],
        env={"TPM2TOOLS_TCTI": swtpm, "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with open_tpm(swtpm) as tpm, pytest.raises(IdentityError) as caught:
        load_or_create(tpm, "host1", SUITE, tmp_path)
    assert caught.value.code in ("AK_LOST", "TPM_REPLACED")


@pytest.mark.parametrize(
    ("host", "suite", "code"),
    [("host2", SUITE, "HOST_RENAMED"), ("host1", "rsa2048-sha256", "SUITE_CHANGED")],
)
def test_configuration_that_means_another_identity_is_refused(
    swtpm: str, tmp_path: Path, host: str, suite: str, code: str
) -> None:
    with open_tpm(swtpm) as tpm:
        load_or_create(tpm, "host1", SUITE, tmp_path)
        with pytest.raises(IdentityError) as caught:
            load_or_create(tpm, host, suite, tmp_path)
    assert caught.value.code == code


def test_altered_identity_is_an_error(swtpm: str, tmp_path: Path) -> None:
    with open_tpm(swtpm) as tpm:
        load_or_create(tpm, "host1", SUITE, tmp_path)
        path = identity_path(tmp_path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(StateError):
            load_or_create(tpm, "host1", SUITE, tmp_path)


def test_new_identity_is_an_explicit_act(swtpm: str, tmp_path: Path) -> None:
    with open_tpm(swtpm) as tpm:
        first = load_or_create(tpm, "host1", SUITE, tmp_path)
        assert forget_identity(tmp_path)
        assert load_or_create(tpm, "host1", SUITE, tmp_path).ak.public != first.ak.public
    assert json.loads((tmp_path / "identity.json.old").read_bytes())["host"] == "host1"


def test_credential_of_the_verifier_is_answered(swtpm: str, tmp_path: Path) -> None:
    with open_tpm(swtpm) as tpm:
        host = attester(tpm, tmp_path)
        name = name_of(host.identity.ak.public)
        blob, secret = make_credential(host.identity.ek_public, name, b"s" * 32)
        assert host.activate(blob, secret) == b"s" * 32


def test_evidence_is_bound_to_nonce_and_running_domains(swtpm: str, tmp_path: Path) -> None:
    running = [QemuDomain("7c0cd5a2-4a7f-4c3e-9d5e-3f1d1b1f2a10", "vm", True, 1, 1)]
    with open_tpm(swtpm) as tpm:
        host = attester(tpm, tmp_path, running)
        evidence = host.evidence(challenge(), attest_binding)
    assert [(d.name, d.launch) for d in evidence.domains] == [("vm", None)]
    qualifying = attest_binding(b"n" * 32, evidence.domains)
    facts = verify_quote(evidence.quote, host.identity.ak.public, qualifying, SELECTION)
    assert sorted(facts.pcrs["sha256"]) == [0, 1, 7]


def test_no_evidence_without_the_list_of_domains(swtpm: str, tmp_path: Path) -> None:
    def unreadable() -> list[QemuDomain]:
        raise DomainsUnreadableError("libvirt is not there")

    with open_tpm(swtpm) as tpm:
        identity = load_or_create(tpm, "host1", SUITE, tmp_path)
        book = LaunchBook(tmp_path / "launches.json", 60)
        host = Attester(tpm, identity, MeasurementLogs(), unreadable, book)
        with pytest.raises(DomainsUnreadableError):
            host.evidence(challenge(), attest_binding)


def test_wanted_event_log_that_is_missing_is_an_error(swtpm: str, tmp_path: Path) -> None:
    with open_tpm(swtpm) as tpm:
        identity = load_or_create(tpm, "host1", SUITE, tmp_path)
        book = LaunchBook(tmp_path / "launches.json", 60)
        host = Attester(tpm, identity, MeasurementLogs(event_log=tmp_path / "none"), list, book)
        with pytest.raises(StateError) as caught:
            host.evidence(challenge(event_log=True), attest_binding)
    assert caught.value.code == "EVENT_LOG_UNREADABLE"


def test_event_that_is_measured_during_a_quote_is_waited_for(
    swtpm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one")
    with open_tpm(swtpm) as tpm:
        identity = load_or_create(tpm, "host1", SUITE, tmp_path)
        book = LaunchBook(tmp_path / "launches.json", 60)
        host = Attester(tpm, identity, MeasurementLogs(event_log=log), list, book)
        quote, events = host.quote, [b"one, two", b"one, two, three"]

        def measured(*arguments: Any) -> Quote:
            taken = quote(*arguments)
            if events:
                log.write_bytes(events.pop(0))
            return taken

        monkeypatch.setattr(host, "quote", measured)
        assert (
            host.evidence(challenge(event_log=True), attest_binding).event_log == log.read_bytes()
        )
        assert log.read_bytes() == b"one, two, three"
        events.extend(bytes([n]) for n in range(9))
        with pytest.raises(StateError, match="EVENT_LOG_UNREADABLE"):
            host.evidence(challenge(event_log=True), attest_binding)


def test_what_systemd_measures_after_the_quote_is_sent_and_not_counted(
    swtpm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, systemd = tmp_path / "log", tmp_path / "tpm2-measure.log"
    log.write_bytes(agile_log())
    with open_tpm(swtpm) as tpm:

        def measure(text: str) -> None:
            extend_pcr(tpm, 11, {"sha256": hashlib.sha256(text.encode()).digest()})
            with systemd.open("ab") as stream:
                stream.write(sequence(phase(text)))

        identity = load_or_create(tpm, "host1", SUITE, tmp_path)
        logs = MeasurementLogs(event_log=log, systemd_log=systemd)
        book = LaunchBook(tmp_path / "launches.json", 60)
        host = Attester(tpm, identity, logs, list, book)
        quote = host.quote

        def measured(*arguments: Any) -> Quote:
            taken = quote(*arguments)
            measure("ready")
            return taken

        monkeypatch.setattr(host, "quote", measured)
        measure("sysinit")
        asked = replace(challenge(event_log=True), selection={"sha256": [11]})
        evidence = host.evidence(asked, attest_binding)
    assert evidence.later_log == systemd.read_bytes()
    quoted = evidence.quote.pcrs
    found = measured_log(evidence.event_log, evidence.later_log, quoted)
    assert [event.data for event in found.events] == [b"sysinit"]
    assert replay(found, "sha256")[11] == quoted["sha256"][11]


def test_quote_that_races_with_extends_is_taken_again_or_not_given(
    swtpm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never values that the quote does not cover, which would condemn the host."""
    extends = [2]

    def read(tpm: Tpm, selection: PcrSelection) -> PcrValues:
        if extends[0]:
            extends[0] -= 1
            extend_pcr(tpm, 7, {"sha256": b"\1" * 32, "sha1": b"\1" * 20})
        return read_pcrs(tpm, selection)

    monkeypatch.setattr("e2etrust_core.tpm.quote.read_pcrs", read)
    with open_tpm(swtpm) as tpm:
        host = attester(tpm, tmp_path)
        quote = host.quote(b"q" * 32, SELECTION)
        facts = verify_quote(quote, host.identity.ak.public, b"q" * 32, SELECTION)
        assert facts.pcrs == read_pcrs(tpm, SELECTION)
        assert extends == [0]
        extends[0] = 100
        with pytest.raises(PcrsUnstable):
            host.quote(b"q" * 32, SELECTION)


def test_wrapped_key_opens_until_a_pcr_changes(swtpm: str, tmp_path: Path) -> None:
    with open_tpm(swtpm) as tpm:
        host = attester(tpm, tmp_path)
        wrapped = wrap_for_host(
            host.identity.ek_public, b"k" * 32, SELECTION, read_pcrs(tpm, SELECTION)
        )
        assert host.unwrap(wrapped) == b"k" * 32
        extend_pcr(tpm, 7, {"sha256": b"\1" * 32, "sha1": b"\1" * 20})
        with pytest.raises(UnwrapRefused):
            host.unwrap(wrapped)
