# SPDX-License-Identifier: Apache-2.0
"""TrustedHostFilter on Nova's own HostState, RequestSpec and filter handler."""

from __future__ import annotations

import logging
import os

import pytest
from nova import objects
from nova.scheduler import filters as nova_filters
from nova.scheduler import host_manager

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.messages import HostTrust, LeaseDelta
from e2etrust_nova.scheduler import filters
from e2etrust_nova.scheduler.filters import TrustedHostFilter

PCR_7 = CheckResult("pcr-policy", "fail", "sha256:7 is not accepted", "PCR_MISMATCH", "look at it")
TRUSTED = {"trust:trusted_host": "trusted"}


@pytest.fixture(scope="module", autouse=True)
def nova_objects() -> None:
    objects.register_all()


class Verifier:
    """Stands where the RPC client would: answers with its hosts, counts questions."""

    def __init__(self) -> None:
        self.asked = 0
        self.hosts: list[HostTrust] = []

    def lease_delta(self, since: int) -> LeaseDelta:
        self.asked += 1
        return LeaseDelta(self.asked, True, self.hosts)


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> Verifier:
    made = Verifier()
    monkeypatch.setattr(filters, "verifier_client", lambda *_args, **_kwargs: made)
    return made


def hosts(*names: str) -> list[host_manager.HostState]:
    return [host_manager.HostState(name, name, "cell") for name in names]


def spec(extra_specs: dict[str, str] | None = None, **fields: object) -> objects.RequestSpec:
    flavor = objects.Flavor(extra_specs=extra_specs or {})
    return objects.RequestSpec(
        flavor=flavor, instance_uuid="7e9b2d4e-5a8a-4f0c-9a1e-0f2f3c4d5e6f", **fields
    )


def names(states: object) -> list[str]:
    return [state.host for state in states]


def test_only_leased_hosts_pass(verifier):
    verifier.hosts = [HostTrust("host1", 60.0), HostTrust("host2", 0.0, [PCR_7])]
    passed = TrustedHostFilter().filter_all(hosts("host1", "host2", "host3"), spec(TRUSTED))
    assert names(passed) == ["host1"]


def test_plain_flavor_gets_all_hosts_and_asks_nobody(verifier):
    given = hosts("host1", "host2")
    assert TrustedHostFilter().filter_all(given, spec()) == given
    assert verifier.asked == 0


def test_one_question_for_any_number_of_hosts(verifier):
    TrustedHostFilter().filter_all(hosts(*(f"h{i}" for i in range(500))), spec(TRUSTED))
    assert verifier.asked == 1


def test_no_leased_host_is_an_empty_list_and_not_none(verifier):
    assert list(TrustedHostFilter().filter_all(hosts("host1"), spec(TRUSTED))) == []


def test_any_iterable_of_hosts_is_taken(verifier):
    verifier.hosts = [HostTrust("host1", 60.0)]
    passed = TrustedHostFilter().filter_all(iter(hosts("host1", "host2")), spec(TRUSTED))
    assert names(passed) == ["host1"]


def test_unreadable_demand_refuses_every_host(verifier, caplog):
    verifier.hosts = [HostTrust("host1", 60.0)]
    caplog.set_level(logging.INFO)
    asked = spec({"trust:trusted_host": "untrusted"})
    assert list(TrustedHostFilter().filter_all(hosts("host1"), asked)) == []
    assert "DEMAND_UNREADABLE" in caplog.text


def test_trait_required_by_the_image_is_a_demand(verifier):
    verifier.hosts = [HostTrust("host2", 60.0)]
    image = objects.ImageMeta.from_dict(
        {"properties": {"trait:CUSTOM_E2ETRUST_TRUSTED": "required", "unknown_property": "x"}}
    )
    passed = TrustedHostFilter().filter_all(hosts("host1", "host2"), spec(image=image))
    assert names(passed) == ["host2"]


def test_request_without_an_image_is_read(verifier):
    assert names(TrustedHostFilter().filter_all(hosts("host1"), spec(image=None))) == ["host1"]


def told(caplog: pytest.LogCaptureFixture) -> str:
    """The one line about refused hosts."""
    (line,) = [r.getMessage() for r in caplog.records if "refused" in r.getMessage()]
    return line


def test_refused_hosts_are_logged_by_code_with_why(verifier, caplog):
    verifier.hosts = [HostTrust("host1", 60.0), HostTrust("host2", 0.0, [PCR_7])]
    caplog.set_level(logging.INFO)
    TrustedHostFilter().filter_all(hosts("host1", "host2", "host3"), spec(TRUSTED))
    line = told(caplog)
    assert line.startswith("2 of 3 hosts refused for server 7e9b2d4e")
    assert (
        "1 PCR_MISMATCH (host2): pcr-policy: sha256:7 is not accepted. Next: look at it; "
        "1 HOST_UNKNOWN (host3): the verifier knows no such host. Next: enrol it"
    ) in line


def test_any_number_of_refused_hosts_is_one_line_with_some_names(verifier, caplog):
    verifier.hosts = [HostTrust("h0", 0.0, [PCR_7])]
    caplog.set_level(logging.INFO)
    TrustedHostFilter().filter_all(hosts(*(f"h{i}" for i in range(150))), spec(TRUSTED))
    line = told(caplog)
    assert "150 of 150 hosts refused" in line
    assert "149 HOST_UNKNOWN (h1, h2, h3, h4, h5, h6, h7, h8, h9, h10, 139 more): " in line
    assert "1 PCR_MISMATCH (h0): " in line


def test_cve_2017_16239_rebuild_is_filtered_by_novas_handler(verifier):
    verifier.hosts = [HostTrust("host2", 60.0)]
    asked = spec(TRUSTED, scheduler_hints={"_nova_check_type": ["rebuild"]})
    handler = nova_filters.HostFilterHandler()
    assert TrustedHostFilter.RUN_ON_REBUILD
    assert handler.get_filtered_objects([TrustedHostFilter()], hosts("host1"), asked) == []
    assert names(handler.get_filtered_objects([TrustedHostFilter()], hosts("host2"), asked)) == [
        "host2"
    ]


@pytest.mark.parametrize("hint", ["_nova_check_type", "_NOVA_CHECK_TYPE", "force_hosts"])
def test_cve_2026_46448_hint_of_a_user_changes_nothing(verifier, hint):
    """Whether Nova lets it through or not: this Nova does not, one before did."""
    asked = spec(TRUSTED, scheduler_hints={hint: ["rebuild"]})
    assert TrustedHostFilter().filter_all(hosts("host1"), asked) == []


def test_forked_worker_makes_a_view_of_its_own(verifier):
    verifier.hosts = [HostTrust("host1", 60.0)]
    filter_ = TrustedHostFilter()
    filter_.filter_all(hosts("host1"), spec(TRUSTED))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # In the child: a fresh view asks again although the parent's answer is there.
        before = verifier.asked
        passed = filter_.filter_all(hosts("host1"), spec(TRUSTED))
        ours = filter_._views.views[os.getpid()] is not filter_._views.views[os.getppid()]
        os.write(
            write, b"ok" if ours and verifier.asked == before + 1 and len(passed) == 1 else b"no"
        )
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        assert answer.read() == b"ok"
    os.waitpid(child, 0)


def in_aggregate(states: list[host_manager.HostState], **metadata: str) -> None:
    """Put *states* into one more aggregate."""
    one = objects.Aggregate(metadata={key.replace("__", ":"): v for key, v in metadata.items()})
    for state in states:
        state.aggregates = [*state.aggregates, one]


def test_least_level_passes_hosts_that_have_it(verifier, caplog):
    verifier.hosts = [HostTrust("a", 60.0, level=3), HostTrust("b", 60.0, level=2)]
    verifier.hosts += [HostTrust("c", 60.0), HostTrust("d", 0.0, [PCR_7], level=9)]
    caplog.set_level(logging.INFO)
    asked = spec({"trust:min_level": "3"})
    assert names(TrustedHostFilter().filter_all(hosts("a", "b", "c", "d"), asked)) == ["a"]
    assert "2 LEVEL_TOO_LOW (b, c): level 3 is demanded" in told(caplog)
    assert "1 PCR_MISMATCH (d): " in told(caplog)


def test_unreadable_level_refuses_every_host_and_asks_nobody(verifier, caplog):
    verifier.hosts = [HostTrust("a", 60.0, level=9)]
    caplog.set_level(logging.INFO)
    asked = spec({"trust:min_level": "high", "trust:trusted_host": "trusted"})
    assert list(TrustedHostFilter().filter_all(hosts("a"), asked)) == []
    assert "DEMAND_UNREADABLE" in caplog.text
    assert verifier.asked == 0


def test_image_may_ask_for_a_level(verifier):
    verifier.hosts = [HostTrust("a", 60.0, level=2), HostTrust("b", 60.0, level=1)]
    image = objects.ImageMeta.from_dict(
        {"properties": {"trait:CUSTOM_E2ETRUST_LEVEL_2": "required"}}
    )
    assert names(TrustedHostFilter().filter_all(hosts("a", "b"), spec(image=image))) == ["a"]


def test_aggregate_that_asks_takes_no_server_on_hosts_without_a_lease(verifier):
    verifier.hosts = [HostTrust("leased", 60.0)]
    states = hosts("plain", "leased", "unleased")
    in_aggregate(states, availability_zone="nova")
    in_aggregate(states[1:], trust__trusted_host="trusted")
    assert names(TrustedHostFilter().filter_all(states, spec())) == ["plain", "leased"]
    assert verifier.asked == 1


def test_aggregates_and_flavor_both_count(verifier):
    verifier.hosts = [HostTrust("one", 60.0), HostTrust("two", 60.0, level=2)]
    states = hosts("one", "two")
    in_aggregate(states, trust__min_level="2")
    assert names(TrustedHostFilter().filter_all(states, spec(TRUSTED))) == ["two"]
    assert names(TrustedHostFilter().filter_all(states, spec({"trust:min_level": "3"}))) == []


def test_aggregate_with_an_unreadable_demand_gets_no_server(verifier, caplog):
    verifier.hosts = [HostTrust("host1", 60.0, level=9), HostTrust("host2", 60.0, level=9)]
    caplog.set_level(logging.INFO)
    states = hosts("host1", "host2")
    in_aggregate(states[:1], trust__trusted_host="yes")
    assert names(TrustedHostFilter().filter_all(states, spec())) == ["host2"]
    assert "1 DEMAND_UNREADABLE (host1): " in told(caplog)


def test_aggregates_that_ask_nothing_change_nothing(verifier):
    states = hosts("host1", "host2")
    in_aggregate(states, availability_zone="nova", trait__CUSTOM_E2ETRUST_TRUSTED="required")
    assert TrustedHostFilter().filter_all(states, spec()) == states
    assert verifier.asked == 0


def test_hosts_of_many_batches_are_asked_about_once_and_told_of_in_one_line(
    verifier, caplog, monkeypatch
):
    monkeypatch.setattr(filters, "_BATCH", 2)
    caplog.set_level(logging.INFO)
    verifier.hosts = [HostTrust(name, 60.0, level=2) for name in "cfg"]
    verifier.hosts += [HostTrust("d", 0.0, [PCR_7])]
    states = hosts(*"abcdefgh")
    in_aggregate(states[2:], trust__trusted_host="trusted")
    in_aggregate(states[6:], trust__min_level="3")
    assert names(TrustedHostFilter().filter_all(states, spec())) == ["a", "b", "c", "f"]
    assert verifier.asked == 1
    line = told(caplog)
    assert line.startswith("4 of 8 hosts refused for server 7e9b2d4e")
    for refused in ("PCR_MISMATCH (d)", "LEVEL_TOO_LOW (g)", "HOST_UNKNOWN (e, h)"):
        assert f" {refused}: " in line


def test_nothing_is_collected_of_refused_hosts_where_nobody_reads_it(verifier, caplog, monkeypatch):
    monkeypatch.setattr(filters.LeaseView, "why_not", None)
    caplog.set_level(logging.WARNING)
    assert TrustedHostFilter().filter_all(hosts("host1"), spec(TRUSTED)) == []
