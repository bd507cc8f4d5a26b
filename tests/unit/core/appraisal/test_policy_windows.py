# SPDX-License-Identifier: Apache-2.0
"""A host may be A or B until a moment, and then B."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from e2etrust_core.appraisal.ima_allowlist import Allowlist
from e2etrust_core.appraisal.policy import parse_policy, parse_timed_policy
from e2etrust_core.appraisal.policy_windows import MAX_MOMENTS, parse_moment
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.ima_signature import Keyring
from tests.unit.core.appraisal.test_recorded import LOADER_RULE, Host, codes_at

OLD, NEW = "aa" * 32, "bb" * 32
ENDS = datetime(2026, 12, 1, tzinfo=UTC)
BEFORE, AFTER = ENDS - timedelta(seconds=1), ENDS
TEXT = f"""name: compute
hosts: ["*"]
pcrs:
  sha256:
    4: ["{NEW}", {{accept: "{OLD}", until: 2026-12-01T00:00:00Z}}]
lease_seconds: 60
"""


class Files:
    def allowlist(self, name):
        return Allowlist([name.encode() * 8])

    def keyring(self, name):
        return Keyring()


def test_old_value_is_accepted_until_the_moment_and_the_new_one_all_along():
    values = {at: parse_policy(TEXT, at=at).pcrs["sha256"][4] for at in (BEFORE, AFTER)}
    assert values[BEFORE] == [bytes.fromhex(NEW), bytes.fromhex(OLD)]
    assert values[AFTER] == [bytes.fromhex(NEW)]


def test_policy_is_another_one_after_the_moment():
    """So what it accepted before, of the IMA list too, has to be looked at again."""
    before, after = parse_policy(TEXT, at=BEFORE), parse_policy(TEXT, at=AFTER)
    assert before.fingerprint != after.fingerprint
    assert before.fingerprint == parse_policy(TEXT).fingerprint


def test_lease_does_not_outlive_the_window():
    policy = parse_policy(TEXT, at=BEFORE)
    assert policy.until == ENDS
    assert policy.lease_at(ENDS - timedelta(seconds=5)) == 5
    assert policy.lease_at(ENDS - timedelta(hours=5)) == 60
    assert parse_policy(TEXT, at=AFTER).lease_at(AFTER) == 60


def test_each_window_has_its_own_moment():
    text = TEXT.replace("}]", f"}}, {{accept: '{'cc' * 32}', until: 2027-01-01T00:00:00+08:00}}]")
    timed = parse_timed_policy(text)
    assert timed.moments == (ENDS, datetime(2026, 12, 31, 16, tzinfo=UTC))
    assert [len(state.pcrs["sha256"][4]) for state in timed.states] == [3, 2, 1]


def test_allowlists_patterns_and_event_digests_have_windows_too():
    window = "{{accept: {}, until: 2026-12-01T00:00:00Z}}"
    ima = f"ima: {{allow: [a, {window.format('b')}], exclude: [{window.format('/tmp/*')}]}}\n"
    timed = parse_timed_policy(TEXT + ima, Files())
    assert [len(state.ima.allowed) for state in timed.states] == [2, 1]
    assert [state.ima.exclude for state in timed.states] == [("/tmp/*",), ()]


def test_host_that_is_late_is_told_that_its_window_closed():
    host = Host()
    host.boot(b"old loader")
    text = LOADER_RULE.format(accepted=host.digests(b"new loader"), more=host.window(b"old loader"))
    assert codes_at(host.recorded(), text, BEFORE) == set()
    assert codes_at(host.recorded(), text, AFTER) == {"WINDOW_CLOSED"}


def test_host_that_never_was_good_is_not_told_of_windows():
    host = Host()
    host.boot(b"a third loader")
    text = LOADER_RULE.format(accepted=host.digests(b"new loader"), more=host.window(b"old loader"))
    assert codes_at(host.recorded(), text, AFTER) == {"EVENT_UNKNOWN"}


def test_forged_quote_of_a_late_host_is_a_forged_quote():
    host = Host()
    host.boot(b"old loader")
    text = LOADER_RULE.format(accepted=host.digests(b"new loader"), more=host.window(b"old loader"))
    recorded = host.recorded()
    quote = recorded.evidence.quote
    bad = replace(quote, signature=quote.signature[:-1] + bytes([quote.signature[-1] ^ 1]))
    forged = replace(recorded, evidence=replace(recorded.evidence, quote=bad))
    assert "WINDOW_CLOSED" not in codes_at(forged, text, AFTER)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (f'"{NEW}", ', "", "from 2026-12-01T00:00:00"),
        ("2026-12-01T00:00:00Z", "2026-12-01", "zone"),
        ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00", "zone"),
        ("2026-12-01T00:00:00Z", "soon", "zone"),
        ("2026-12-01T00:00:00Z", "'2026-13-01T00:00:00Z'", "zone"),
        (", until: 2026-12-01T00:00:00Z", "", "accept and until"),
        ("until:", "to: 1, until:", "accept and until"),
        (OLD, "aa", "hexadecimal"),
        ('["*"]', "[{accept: '*', until: 2026-12-01T00:00:00Z}]", "no window"),
        ("lease", "event_log_pcrs: [{accept: 4, until: 2026-12-01T00:00:00Z}]\nlease", "no window"),
    ],
)
def test_window_that_is_none_is_refused_and_named(old, new, told):
    with pytest.raises(PolicyError, match=told):
        parse_policy(TEXT.replace(old, new, 1))


def test_requirement_has_no_window():
    """What must be there may not be dropped by time: the policy would accept more."""
    rule = (
        "{type: EV_EFI_VARIABLE_DRIVER_CONFIG, pcr: 7, variable: dbx,"
        f" including: [{{accept: 'sha256:{'0' * 64}', until: 2026-12-01T00:00:00Z}}]}}"
    )
    with pytest.raises(PolicyError, match="no window"):
        parse_policy(f"name: p\nhosts: ['*']\nevents: {{pcrs: [7], rules: [{rule}]}}\n")
    pcrs = "{pcrs: [4, {accept: 7, until: 2026-12-01T00:00:00Z}], rules: []}"
    with pytest.raises(PolicyError, match="no window"):
        parse_policy(f"name: p\nhosts: ['*']\nevents: {pcrs}\n")


def test_moments_are_bounded():
    many = ", ".join(
        f"{{accept: '{OLD}', until: 2026-12-01T00:00:{n:02}Z}}" for n in range(MAX_MOMENTS + 1)
    )
    with pytest.raises(PolicyError, match="moments"):
        parse_policy(TEXT.replace("}]", "}, " + many + "]"))


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_moment_beyond_all_calendars_is_refused(text):
    with pytest.raises(PolicyError):
        parse_moment(text)
