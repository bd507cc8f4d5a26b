# SPDX-License-Identifier: Apache-2.0
"""Running domains, and which launch each of them came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2etrust_agent import launches
from e2etrust_agent.domains import QemuDomain, find_domain, process_start_ticks, running_domains
from e2etrust_agent.errors import DomainsUnreadableError, RequestError, StateError
from e2etrust_agent.launches import LaunchBook
from e2etrust_core.errors import InputError
from tests.unit.agent.qemu_process import QemuProcess
from tests.unit.nova.hook.real_domain import INSTANCE


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "domains"
    path.mkdir()
    return path


@pytest.fixture
def qemu(directory: Path) -> Iterator[QemuProcess]:
    process = QemuProcess(directory)
    yield process
    process.end()


@pytest.fixture
def book(tmp_path: Path) -> LaunchBook:
    return LaunchBook(tmp_path / "state" / "launches.json", grace=60)


def test_running_domain_is_read_from_libvirts_status(directory: Path, qemu: QemuProcess) -> None:
    (domain,) = running_domains(directory)
    assert (domain.instance, domain.name) == (INSTANCE, "instance-00000007")
    assert domain.demands_trust
    assert domain.pid == qemu.process.pid
    assert domain.start_ticks == process_start_ticks(qemu.process.pid)


def test_domain_whose_process_is_gone_does_not_run(directory: Path, qemu: QemuProcess) -> None:
    qemu.end()
    assert running_domains(directory) == []


def test_process_id_used_again_by_another_program_is_no_domain(directory: Path) -> None:
    process = QemuProcess(directory, program="something-else")
    try:
        assert running_domains(directory) == []
    finally:
        process.end()


def test_domain_with_unreadable_metadata_counts_as_demanding(
    directory: Path, qemu: QemuProcess
) -> None:
    text = qemu.status.read_text()
    qemu.status.write_text(text.replace("nova:flavor", "nova:other"))
    (domain,) = running_domains(directory)
    assert domain.demands_trust


def test_every_domain_demands_trust_where_the_host_says_so(
    directory: Path, qemu: QemuProcess
) -> None:
    text = qemu.status.read_text()
    qemu.status.write_text(text.replace("trust:trusted_host", "hw:other"))
    assert [d.demands_trust for d in running_domains(directory)] == [False]
    assert [d.demands_trust for d in running_domains(directory, True)] == [True]


@pytest.mark.parametrize("text", ["", "<domstatus/>", "<domstatus pid='x'><domain/></domstatus>"])
def test_unreadable_status_is_an_error_and_never_an_absent_domain(
    directory: Path, text: str
) -> None:
    (directory / "vm.xml").write_text(text)
    with pytest.raises(DomainsUnreadableError):
        running_domains(directory)


def test_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DomainsUnreadableError) as caught:
        running_domains(tmp_path / "none")
    assert caught.value.code == "DOMAINS_UNREADABLE"


def test_started_launch_belongs_to_its_process(
    directory: Path, qemu: QemuProcess, book: LaunchBook
) -> None:
    (before,) = running_domains(directory)
    book.granted("launch-0", INSTANCE)
    assert book.launch_of(before) in (None, "launch-0")
    qemu.end()
    again = QemuProcess(directory)
    try:
        domain = find_domain(directory, INSTANCE)
        assert domain is not None
        book.started("launch-0", domain)
        assert book.launch_of(domain) == "launch-0"
        (evidence,) = book.evidence([domain])
        assert evidence.launch == "launch-0"
    finally:
        again.end()


def test_process_older_than_the_grant_inherits_nothing(
    directory: Path, qemu: QemuProcess, book: LaunchBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    (domain,) = running_domains(directory)
    later = launches._since_boot() + 10
    monkeypatch.setattr(launches, "_since_boot", lambda: later)
    book.granted("launch-1", INSTANCE)
    assert book.launch_of(domain) is None
    with pytest.raises(RequestError) as caught:
        book.started("launch-1", domain)
    assert caught.value.code == "NO_LAUNCH"


def test_second_process_of_a_started_launch_inherits_nothing(
    directory: Path, qemu: QemuProcess, book: LaunchBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "_since_boot", lambda: 0.0)
    book.granted("launch-1", INSTANCE)
    (first,) = running_domains(directory)
    book.started("launch-1", first)
    qemu.end()
    other = QemuProcess(directory)
    try:
        (second,) = running_domains(directory)
        assert book.launch_of(second) is None
    finally:
        other.end()


def test_grant_runs_out_when_no_domain_comes(
    book: LaunchBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.granted("launch-1", INSTANCE)
    assert book.sweep() == []
    later = launches._since_boot() + 61
    monkeypatch.setattr(launches, "_since_boot", lambda: later)
    assert [launch.id for launch in book.sweep()] == ["launch-1"]
    assert len(book) == 0


def test_launch_whose_process_ended_is_swept(
    directory: Path, qemu: QemuProcess, book: LaunchBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "_since_boot", lambda: 0.0)
    book.granted("launch-1", INSTANCE)
    (domain,) = running_domains(directory)
    book.started("launch-1", domain)
    assert book.sweep() == []
    qemu.end()
    assert [launch.pid for launch in book.sweep()] == [domain.pid]


def test_newer_launch_replaces_the_older_one(book: LaunchBook) -> None:
    assert book.granted("launch-1", INSTANCE) == []
    assert [old.id for old in book.granted("launch-2", INSTANCE)] == ["launch-1"]


def test_book_survives_a_restart(tmp_path: Path, book: LaunchBook) -> None:
    book.granted("launch-1", INSTANCE)
    again = LaunchBook(tmp_path / "state" / "launches.json", grace=60)
    assert len(again) == 1
    assert again.ended("launch-1")
    assert not again.ended("launch-1")


def test_launch_of_another_boot_covers_no_process_of_this_one(tmp_path: Path) -> None:
    """After a power cut process ids and seconds since boot come again; the grant does not."""
    path = tmp_path / "state" / "launches.json"
    domain = QemuDomain(INSTANCE, "vm", True, 4711, 10**9)
    before = LaunchBook(path, 60.0, "boot-1")
    before.granted("launch-1", INSTANCE)
    assert before.launch_of(domain) == "launch-1"
    after = LaunchBook(path, 60.0, "boot-2")
    assert after.launch_of(domain) is None
    with pytest.raises(RequestError):
        after.started("launch-1", domain)
    assert [launch.id for launch in after.sweep()] == ["launch-1"]


def test_broken_book_is_an_error(tmp_path: Path, book: LaunchBook) -> None:
    book.granted("launch-1", INSTANCE)
    path = tmp_path / "state" / "launches.json"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises((InputError, StateError)):
        LaunchBook(path, grace=60)


def test_selection_of_a_launch_is_kept_over_a_restart(tmp_path):
    path = tmp_path / "state" / "launches.json"
    LaunchBook(path, 60.0).granted("launch-1", INSTANCE, {"sha256": [0, 7, 14]})
    again = LaunchBook(path, 60.0)
    assert again.selection_of("launch-1") == {"sha256": [0, 7, 14]}
    assert again.selection_of("launch-2") == {}
