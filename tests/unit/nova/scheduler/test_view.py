# SPDX-License-Identifier: Apache-2.0
"""The lease view: expiry, deltas, and what it does when the verifier is away."""

from __future__ import annotations

import threading

import pytest

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.messages import HostTrust, LeaseDelta, Refusal
from e2etrust_nova.scheduler.view import NEVER, LeaseView

PCR_7 = CheckResult("pcr-policy", "fail", "sha256:7 is not accepted", "PCR_MISMATCH", "look at it")


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class CountingClock:
    """Goes on by a tick with each reading, and lets a test wait for a number of readings."""

    def __init__(self) -> None:
        self.calls = 0
        self._changed = threading.Condition()

    def __call__(self) -> float:
        with self._changed:
            self.calls += 1
            self._changed.notify_all()
            return float(self.calls)

    def wait_for_calls(self, number: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.calls >= number, timeout=10)


class Verifier:
    """Answers as told, notes what it was asked, and takes time on the clock to answer."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[int] = []
        self.answers: list[LeaseDelta | E2ETrustError] = []
        self.takes = 0.0

    def __call__(self, since: int) -> LeaseDelta:
        self.asked.append(since)
        self.clock.now += self.takes
        answer = self.answers.pop(0)
        if isinstance(answer, E2ETrustError):
            raise answer
        return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(clock: Clock) -> Verifier:
    return Verifier(clock)


@pytest.fixture
def view(clock: Clock, verifier: Verifier) -> LeaseView:
    return LeaseView(verifier, retry_interval=5.0, clock=clock)


def leased(view: LeaseView, host: str) -> bool:
    return view.deadlines().get(host, NEVER) > view.now()


def why_not(view: LeaseView, host: str, level: int = 1) -> Refusal:
    ((why, names),) = view.why_not([(host, level)]).values()
    assert names == [host]
    return why


def down() -> E2ETrustError:
    return E2ETrustError("no answer", code="VERIFIER_DOWN")


def test_host_with_a_lease_is_leased_until_it_ends(view, verifier, clock):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", 60.0)])]
    view.refresh()
    clock.now += 59.9
    assert leased(view, "host1")
    clock.now += 0.1
    assert not leased(view, "host1")


def test_unknown_host_is_untrusted(view, verifier):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", 60.0)])]
    view.refresh()
    assert not leased(view, "host9")
    assert why_not(view, "host9").code == "HOST_UNKNOWN"


def test_lease_is_counted_from_before_the_question(view, verifier, clock):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", 60.0)])]
    verifier.takes = 2.0
    view.refresh()
    assert view.deadlines()["host1"] == 1060.0


def test_question_names_the_generation_of_the_last_answer(view, verifier, clock):
    verifier.answers = [LeaseDelta(3, True, []), LeaseDelta(7, False, []), LeaseDelta(7, False, [])]
    for _ in range(3):
        view.refresh()
        clock.now += 1
    assert verifier.asked == [0, 3, 7]


def test_delta_leaves_other_hosts_as_they_were(view, verifier, clock):
    verifier.answers = [
        LeaseDelta(3, True, [HostTrust("host1", 60.0), HostTrust("host2", 60.0)]),
        LeaseDelta(4, False, [HostTrust("host2", 0.0, [PCR_7])]),
    ]
    view.refresh()
    clock.now += 1
    view.refresh()
    assert leased(view, "host1")
    assert not leased(view, "host2")
    assert why_not(view, "host2").code == "PCR_MISMATCH"
    assert "pcr-policy" in why_not(view, "host2").reason


def test_full_answer_drops_hosts_that_are_not_in_it(view, verifier, clock):
    verifier.answers = [
        LeaseDelta(3, True, [HostTrust("host1", 60.0), HostTrust("host2", 0.0, [PCR_7])]),
        LeaseDelta(2, True, [HostTrust("host3", 60.0)]),
    ]
    view.refresh()
    clock.now += 1
    view.refresh()
    assert not leased(view, "host1")
    assert leased(view, "host3")
    assert why_not(view, "host2").code == "HOST_UNKNOWN"


def test_failed_checks_outweigh_seconds_of_lease(view, verifier):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", 60.0, [PCR_7])])]
    view.refresh()
    assert not leased(view, "host1")


def test_words_that_many_hosts_fail_with_are_kept_once(view, verifier):
    code, remedy = ("".join([word, "!"]) for word in (PCR_7.code, PCR_7.remedy))
    again = CheckResult("pcr-policy", "fail", "another reason", code[:-1], remedy[:-1])
    hosts = [HostTrust("host1", 0.0, [PCR_7]), HostTrust("host2", 0.0, [again])]
    verifier.answers = [LeaseDelta(3, True, hosts)]
    view.refresh()
    one, other = why_not(view, "host1"), why_not(view, "host2")
    assert one.code is other.code
    assert one.remedy is other.remedy


def test_not_a_number_is_no_lease(view, verifier):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", float("nan"))])]
    view.refresh()
    assert not leased(view, "host1")


def test_new_pass_forgets_the_old_failure(view, verifier, clock):
    verifier.answers = [
        LeaseDelta(3, True, [HostTrust("host1", 0.0, [PCR_7])]),
        LeaseDelta(4, False, [HostTrust("host1", 10.0)]),
    ]
    view.refresh()
    clock.now += 1
    view.refresh()
    assert leased(view, "host1")
    clock.now += 11
    assert why_not(view, "host1").code == "LEASE_NONE"


def test_verifier_down_keeps_what_is_known_until_it_ends(view, verifier, clock):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", 60.0)]), down(), down()]
    view.refresh()
    clock.now += 30
    view.refresh()
    assert leased(view, "host1")
    clock.now += 31
    view.refresh()
    assert not leased(view, "host1")
    assert "verifier does not answer" in why_not(view, "host1").reason


def test_verifier_that_was_never_reached_leaves_nobody_trusted(view, verifier):
    verifier.answers = [down()]
    view.refresh()
    assert view.deadlines() == {}


def test_after_a_failure_no_question_is_asked_for_the_retry_interval(view, verifier, clock):
    verifier.answers = [down(), LeaseDelta(1, True, [HostTrust("host1", 60.0)])]
    view.refresh()
    clock.now += 4.9
    view.refresh()
    assert verifier.asked == [0]
    clock.now += 0.1
    view.refresh()
    assert verifier.asked == [0, 0]
    assert leased(view, "host1")


def test_outage_is_warned_of_once(view, verifier, clock, caplog):
    verifier.answers = [down(), down(), LeaseDelta(1, True, [])]
    for _ in range(3):
        view.refresh()
        clock.now += 5
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "VERIFIER_DOWN" in warnings[0].getMessage()


def test_generation_that_goes_back_is_not_believed_and_all_is_asked_for(view, verifier, clock):
    verifier.answers = [
        LeaseDelta(9, True, [HostTrust("host1", 60.0)]),
        LeaseDelta(4, False, [HostTrust("host2", 60.0)]),
        LeaseDelta(4, True, [HostTrust("host2", 60.0)]),
    ]
    view.refresh()
    clock.now += 1
    view.refresh()
    assert not leased(view, "host2")
    clock.now += 5
    view.refresh()
    assert verifier.asked == [0, 9, 0]
    assert leased(view, "host2")
    assert not leased(view, "host1")


def test_answer_serves_the_refresh_interval(verifier, clock):
    view = LeaseView(verifier, retry_interval=5.0, refresh_interval=2.0, clock=clock)
    verifier.answers = [LeaseDelta(1, True, []), LeaseDelta(1, False, [])]
    view.refresh()
    clock.now += 2.0
    view.refresh()
    assert len(verifier.asked) == 1
    clock.now += 0.1
    view.refresh()
    assert len(verifier.asked) == 2


def test_requests_that_wait_share_one_further_question():
    """Those that came while a question was under way need an answer asked for afterwards."""
    asked: list[int] = []
    under_way, go_on = threading.Event(), threading.Event()
    clock = CountingClock()

    def source(since: int) -> LeaseDelta:
        asked.append(since)
        if len(asked) == 1:
            under_way.set()
            assert go_on.wait(10)
        return LeaseDelta(since + 1, False, [])

    view = LeaseView(source, retry_interval=5.0, clock=clock)
    threads = [threading.Thread(target=view.refresh) for _ in range(9)]
    threads[0].start()
    assert under_way.wait(10)
    calls_before = clock.calls
    for thread in threads[1:]:
        thread.start()
    # Each of the eight reads the clock when it comes, and then waits.
    assert clock.wait_for_calls(calls_before + 8)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert asked == [0, 1]


def test_lease_counts_for_its_level_and_those_below(view, verifier):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", 60.0, level=3)])]
    view.refresh()
    known = [level for level in range(1, 11) if "host1" in view.deadlines(level)]
    assert known == [1, 2, 3]
    assert why_not(view, "host1", 4).code == "LEVEL_TOO_LOW"


def test_lease_without_a_level_has_the_lowest(view, verifier):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", 60.0)])]
    view.refresh()
    assert leased(view, "host1")
    assert view.deadlines(2) == {}


def test_level_of_a_host_goes_down_with_its_next_lease(view, verifier, clock):
    verifier.answers = [
        LeaseDelta(3, True, [HostTrust("host1", 60.0, level=3)]),
        LeaseDelta(4, False, [HostTrust("host1", 60.0, level=2)]),
        LeaseDelta(5, False, [HostTrust("host1", 0.0, [PCR_7])]),
    ]
    found = []
    for _ in range(3):
        view.refresh()
        clock.now += 1
        ends = [view.deadlines(level).get("host1", NEVER) for level in (1, 2, 3)]
        found.append([end > view.now() for end in ends])
    assert found == [[True] * 3, [True, True, False], [False] * 3]


def test_host_without_a_lease_is_told_so_whatever_level_is_asked(view, verifier):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", 0.0, [PCR_7])])]
    view.refresh()
    assert why_not(view, "host1", 5).code == "PCR_MISMATCH"
    assert why_not(view, "host2", 5).code == "HOST_UNKNOWN"


@pytest.mark.parametrize("level", [10, 11, 1_000_000])
def test_level_that_nobody_knows_no_host_has(view, verifier, level):
    verifier.answers = [LeaseDelta(3, True, [HostTrust("host1", 60.0, level=12)])]
    view.refresh()
    assert view.deadlines(level) == {}


@pytest.mark.parametrize("seconds", [1e300, float("inf")])
def test_lease_longer_than_any_policy_gives_is_not_believed(seconds):
    """Whoever answered so is not the verifier, and must not be believed for ever."""
    clock = Clock()
    view = LeaseView(
        lambda _since: LeaseDelta(1, True, [HostTrust("host1", seconds)]),
        retry_interval=1.0,
        clock=clock,
    )
    view.refresh()
    assert view.deadlines()["host1"] <= clock.now + 3600


def test_cve_2022_23949_what_a_check_says_makes_no_line_of_its_own():
    check = CheckResult("c\nd", "fail", "r\ns", "C\nD", "do\nso")
    delta = LeaseDelta(1, True, [HostTrust("host1", 0.0, [check])])
    made = LeaseView(lambda _since: delta, retry_interval=0)
    made.refresh()
    why = why_not(made, "host1")
    assert (why.code, why.reason, why.remedy) == ("C?D", "c?d: r?s", "do?so")
