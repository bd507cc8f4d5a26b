# SPDX-License-Identifier: Apache-2.0
"""Traits in a real Placement service, with others who write to it, and with it away."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from oslo_config import cfg
from oslo_db import options as db_options

from e2etrust_core.trust_names import LEVEL_TRAITS, TRUSTED_TRAIT
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import manage
from e2etrust_verifier.db import hosts, leases, migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Host
from e2etrust_verifier.placement import PlacementError, ProviderError, Traits
from e2etrust_verifier.service_clients import adapter_of
from e2etrust_verifier.trait_keeper import TraitKeeper
from e2etrust_verifier.trust import operator, standing
from e2etrust_verifier.trust.surroundings import utc_now
from tests.functional.verifier.host import refused
from tests.functional.verifier.placement_fixture import Placement, placement  # noqa: F401

LEVELS = [LEVEL_TRAITS[n] for n in range(1, 10)]
OTHER = "CUSTOM_SOMEBODY_ELSES"
#: Looks like ours and is not.
ALIKE = "CUSTOM_E2ETRUST_LEVEL_10"


class Leases:
    """Host -> level, as the verifier's database would say."""

    def __init__(self, **levels: int) -> None:
        self.now = levels

    def __call__(self, hosts: Collection[str] | None) -> dict[str, int]:
        return {h: n for h, n in self.now.items() if hosts is None or h in hosts}


def keeper(
    service: Placement, held: Leases, interval: float = 60, *, levels: bool = False, **names: str
) -> TraitKeeper:
    return TraitKeeper(Traits(service.client()), held, names, interval, level_traits=levels)


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_trait_follows_trust_and_traits_of_others_stay(placement):  # noqa: F811
    good = placement.provider("good", OTHER, "HW_CPU_X86_AVX2")
    bad = placement.provider("bad", TRUSTED_TRAIT, ALIKE, OTHER)
    plain = placement.provider("plain", OTHER)
    keeper(placement, Leases(good=1)).reconcile()
    assert placement.traits(good) == {OTHER, "HW_CPU_X86_AVX2", TRUSTED_TRAIT}
    assert placement.traits(bad) == {ALIKE, OTHER}
    assert placement.traits(plain) == {OTHER}


def test_levels_are_shown_with_those_below_and_only_where_wanted(placement):  # noqa: F811
    uuid = placement.provider("host1")
    held = Leases(host1=3)
    keeper(placement, held).reconcile()
    assert placement.traits(uuid) == {TRUSTED_TRAIT}
    kept = keeper(placement, held, levels=True)
    kept.reconcile()
    assert placement.traits(uuid) == {TRUSTED_TRAIT, *LEVELS[:3]}
    held.now = {"host1": 1}
    kept.catch_up(["host1"])
    assert placement.traits(uuid) == {TRUSTED_TRAIT, LEVELS[0]}
    # Switched off again, what was given is taken.
    keeper(placement, held).reconcile()
    assert placement.traits(uuid) == {TRUSTED_TRAIT}


@pytest.mark.parametrize("name", ["node7", "rack 7 & node+7"])
def test_host_that_is_called_otherwise_in_placement(placement, name):  # noqa: F811
    uuid = placement.provider(name)
    kept = keeper(placement, Leases(host1=1), host1=name)
    kept.catch_up(["host1"])
    assert placement.traits(uuid) == {TRUSTED_TRAIT}
    kept.reconcile()
    assert placement.traits(uuid) == {TRUSTED_TRAIT}


def test_conflict_with_a_writer_between_reading_and_writing_loses_neither(placement):  # noqa: F811
    uuid = placement.provider("host1")
    path = f"/resource_providers/{uuid}/traits"
    left = ["CUSTOM_FIRST", "CUSTOM_SECOND"]

    def interfere(method: str, asked: str) -> None:
        # Our write is on its way under the generation that it read: somebody else is faster.
        if (method, asked) == ("PUT", path) and left:
            placement.give(uuid, left.pop())

    placement.before = interfere
    keeper(placement, Leases(host1=1)).reconcile()
    assert placement.traits(uuid) == {TRUSTED_TRAIT, "CUSTOM_FIRST", "CUSTOM_SECOND"}
    # Two writes met 409, the third was taken.
    assert placement.asked.count(f"PUT {path}") == 3


def test_somebody_who_writes_without_end_stops_no_other_host(placement, caplog):  # noqa: F811
    busy, quiet = placement.provider("a-busy"), placement.provider("b-quiet")
    numbers = iter(range(1000))

    def interfere(method: str, asked: str) -> None:
        if method == "PUT" and busy in asked:
            placement.give(busy, f"CUSTOM_{next(numbers)}")

    placement.before = interfere
    keeper(placement, Leases(**{"a-busy": 1, "b-quiet": 1})).reconcile()
    assert placement.traits(quiet) == {TRUSTED_TRAIT}
    assert "traits of a-busy are not in step" in caplog.text
    placement.before = lambda _method, _path: None
    keeper(placement, Leases(**{"a-busy": 1, "b-quiet": 1})).reconcile()
    assert TRUSTED_TRAIT in placement.traits(busy)


def test_two_workers_and_another_service_at_once_end_with_what_each_wrote(placement):  # noqa: F811
    uuids = [placement.provider(f"host{n}") for n in range(4)]
    held = Leases(**{f"host{n}": 1 for n in range(4)})

    def somebody() -> None:
        for number in range(5):
            for uuid in uuids:
                try:
                    placement.give(uuid, f"CUSTOM_N{number}")
                except Exception:
                    placement.give(uuid, f"CUSTOM_N{number}")

    threads = [threading.Thread(target=keeper(placement, held).reconcile) for _ in range(2)]
    threads.append(threading.Thread(target=somebody))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    keeper(placement, held).reconcile()
    for uuid in uuids:
        assert placement.traits(uuid) == {TRUSTED_TRAIT, *(f"CUSTOM_N{n}" for n in range(5))}


def test_host_without_a_provider_stops_no_other_and_gets_its_trait_when_it_has_one(
    placement,  # noqa: F811
):
    uuid = placement.provider("host2")
    kept = keeper(placement, Leases(host1=1, host2=1))
    kept.reconcile()
    assert placement.traits(uuid) == {TRUSTED_TRAIT}
    # Not asked for again before the next comparison.
    placement.asked.clear()
    kept.catch_up(["host1"])
    assert placement.asked == []
    late = placement.provider("host1")
    kept.reconcile()
    assert placement.traits(late) == {TRUSTED_TRAIT}


def test_provider_that_goes_away_meanwhile_stops_no_other(placement):  # noqa: F811
    gone, stays = placement.provider("a"), placement.provider("b")

    def delete(method: str, asked: str) -> None:
        if method == "GET" and asked == f"/resource_providers/{gone}/traits":
            placement.admin.delete(f"/resource_providers/{gone}")

    placement.before = delete
    keeper(placement, Leases(a=1, b=1)).reconcile()
    assert placement.traits(stays) == {TRUSTED_TRAIT}


def test_many_hosts_are_compared_with_few_requests(placement):  # noqa: F811
    for number in range(40):
        placement.provider(f"host{number}")
    held = Leases(**{f"host{n}": 1 for n in range(40)})
    kept = keeper(placement, held)
    kept.reconcile()
    reads = [one for one in placement.asked if one.startswith("GET /resource_providers")]
    # All providers in one answer, and each that differs is read once to be written.
    assert reads.count("GET /resource_providers") == 1
    assert len(reads) == 1 + 40
    placement.asked.clear()
    kept.reconcile()
    kept.catch_up(list(held.now))
    assert len(placement.asked) == 2
    assert all(one.startswith("GET") for one in placement.asked)


def test_trust_that_ended_is_looked_for_whatever_is_remembered(placement):  # noqa: F811
    uuid = placement.provider("host1")
    held = Leases()
    mine, other = keeper(placement, held), keeper(placement, held)
    mine.reconcile()
    held.now = {"host1": 1}
    other.catch_up(["host1"])
    held.now = {}
    # This worker never saw the trait there.
    mine.catch_up(["host1"])
    assert placement.traits(uuid) == set()


def test_change_is_written_at_once_and_an_outage_heals(placement, caplog):  # noqa: F811
    caplog.set_level(logging.INFO)
    uuid = placement.provider("host1")
    held = Leases()
    kept = keeper(placement, held, interval=0.3)
    kept.start()
    try:
        held.now = {"host1": 1}
        kept.wake("host1")
        assert eventually(lambda: placement.traits(uuid) == {TRUSTED_TRAIT})
        placement.down()
        held.now = {}
        kept.wake("host1")
        assert eventually(lambda: "not in step" in caplog.text)
        placement.up()
        assert eventually(lambda: placement.traits(uuid) == set())
        assert eventually(lambda: "in step again" in caplog.text)
        assert caplog.text.count("traits are not in step") == 1
    finally:
        kept.stop()


def test_service_that_is_down_is_an_error_with_a_remedy(placement):  # noqa: F811
    placement.down()
    with pytest.raises(PlacementError) as caught:
        keeper(placement, Leases(host1=1)).reconcile()
    assert not isinstance(caught.value, ProviderError)
    assert caught.value.remedy


def test_trait_that_was_deleted_is_made_again(placement):  # noqa: F811
    uuid = placement.provider("host1")
    held = Leases(host1=1)
    kept = keeper(placement, held)
    kept.reconcile()
    placement.admin.put(
        f"/resource_providers/{uuid}/traits",
        json={"resource_provider_generation": 1, "traits": []},
    )
    placement.admin.delete(f"/traits/{TRUSTED_TRAIT}")
    with pytest.raises(PlacementError, match="400"):
        kept.reconcile()
    kept.reconcile()
    assert placement.traits(uuid) == {TRUSTED_TRAIT}


@pytest.fixture
def database(tmp_path: Path):
    conf = cfg.ConfigOpts()
    db_options.set_defaults(conf, connection=f"sqlite:///{tmp_path}/verifier.sqlite")
    conf([])
    made = Database(conf)
    migration.sync(made)
    yield made
    made.dispose()


def trust(database: Database, name: str, seconds: float, level: int) -> None:
    now = utc_now()

    def enrol(session) -> None:
        record = Host(
            name=name, suite="s", ek_public=b"e", ek_accepted_by="pin", ak_public=b"a",
            ak_name=b"n", enrolled_at=now,
        )  # fmt: skip
        hosts.add(session, record, held=False, now=now)
        standing.grant(session, hosts.lock_state(session, name, now), seconds, level, now)

    database.write(enrol)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_renamed_host_takes_its_trait_along(placement, laboratory, host):  # noqa: F811
    """The old name's goes with its lease, the new one's comes when the old name is deleted."""
    old, new = placement.provider("host1"), placement.provider("host9")
    around = laboratory.around

    def held(names: Collection[str] | None) -> dict[str, int]:
        return around.db.read(lambda s: leases.levels(s, around.now(), names))

    kept = TraitKeeper(Traits(placement.client()), held, {}, 60)

    def traits() -> tuple[set[str], set[str]]:
        kept.reconcile()
        return placement.traits(old), placement.traits(new)

    assert host.attest().trusted
    assert traits() == ({TRUSTED_TRAIT}, set())
    host.name = "host9"
    with refused("TPM_ENROLLED"):
        host.enrol()
    assert traits() == ({TRUSTED_TRAIT}, set())
    laboratory.later(61)
    assert traits() == (set(), set())
    operator.remove(around.db, "host1", utc_now())
    host.enrol()
    assert host.attest().trusted
    assert traits() == (set(), {TRUSTED_TRAIT})


def test_removed_host_loses_its_traits(placement, database):  # noqa: F811
    uuid = placement.provider("host1", OTHER)
    trust(database, "host1", 3600.0, 2)

    def held(names: Collection[str] | None) -> dict[str, int]:
        return database.read(lambda s: leases.levels(s, utc_now(), names))

    kept = TraitKeeper(Traits(placement.client()), held, {}, 60, level_traits=True)
    kept.reconcile()
    assert placement.traits(uuid) == {OTHER, TRUSTED_TRAIT, *LEVELS[:2]}
    assert held(["host1", "host2"]) == {"host1": 2}
    operator.remove(database, "host1", utc_now())
    kept.reconcile()
    assert placement.traits(uuid) == {OTHER}


@pytest.fixture
def conf_file(placement, tmp_path: Path) -> Path:  # noqa: F811
    path = tmp_path / "verifier.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"[placement]\nauth_type = admin_token\nendpoint = {placement.url}\ntoken = admin\n"
        f"endpoint_override = {placement.url}\nstatus_code_retry_delay = 0.01\n"
    )
    return path


def test_request_at_which_placement_failed_is_repeated_and_not_for_ever(
    placement,  # noqa: F811
    conf_file,
):
    """As Placement answers where two write at once and its database lets one of them wait."""
    uuid = placement.provider("host1")
    path = f"PUT /resource_providers/{uuid}/traits"
    fails = 2

    def fail(method: str, asked: str) -> None:
        nonlocal fails
        if f"{method} {asked}" == path and fails:
            fails -= 1
            raise RuntimeError("database is locked")

    placement.before = fail
    http = adapter_of(configuration.load([str(conf_file)], cfg.ConfigOpts()), "placement")
    kept = TraitKeeper(Traits(http), Leases(host1=1), {}, 60)
    kept.reconcile()
    assert placement.traits(uuid) == {TRUSTED_TRAIT}
    assert placement.asked.count(path) == 3
    fails, placement.asked = 100, []
    with pytest.raises(PlacementError, match="HTTP 500"):
        TraitKeeper(Traits(http), Leases(), {}, 60).reconcile()
    assert placement.asked.count(path) == 4


@pytest.fixture
def clean(conf_file, capsys):
    """``e2etrust-manage placement clean``, as an operator types it."""

    def run(*words: str) -> tuple[int, str, str]:
        code = manage.main(["--config-file", str(conf_file), "placement", "clean", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_clean_takes_all_of_ours_off_everywhere_and_nothing_else(placement, clean):  # noqa: F811
    one = placement.provider("one", TRUSTED_TRAIT, *LEVELS, OTHER, ALIKE)
    two = placement.provider("two", LEVELS[4])
    code, out, _ = clean("-f", "json")
    assert code == 0
    assert [row["provider"] for row in json.loads(out)] == ["one", "two"]
    assert (placement.traits(one), placement.traits(two)) == ({OTHER, ALIKE}, set())
    assert not any(placement.known(trait) for trait in (TRUSTED_TRAIT, *LEVELS))
    assert placement.known(ALIKE)
    assert clean("-f", "json")[:2] == (0, "[]\n")


def test_clean_says_when_a_verifier_still_gives_traits(placement, clean):  # noqa: F811
    uuid = placement.provider("one", TRUSTED_TRAIT)

    def give_again(method: str, _path: str) -> None:
        if method == "DELETE":
            placement.give(uuid, TRUSTED_TRAIT)

    placement.before = give_again
    code, _, err = clean()
    assert code == 1
    assert "PLACEMENT_IN_USE" in err
    assert "stop every e2etrust-verifier" in err


def test_clean_without_an_account_says_so(tmp_path: Path, capsys):
    path = tmp_path / "verifier.conf"
    path.touch(mode=0o600)
    assert manage.main(["--config-file", str(path), "placement", "clean"]) == 1
    assert "PLACEMENT_NONE" in capsys.readouterr().err
