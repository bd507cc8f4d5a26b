# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2etrust_core.appraisal.policy import parse_policy, selection_of
from e2etrust_core.errors import PolicyError

HEX = "ab" * 32
GOOD = f"""
name: compute
hosts: ["*"]
pcrs: {{sha256: {{0: ["{HEX}"], 7: ["{HEX}", "{"CD" * 32}"]}}}}
event_log_pcrs: [4, 0]
lease_seconds: 30
recovery: automatic
"""


def test_policy_is_read_whole():
    policy = parse_policy(GOOD)
    assert (policy.name, policy.hosts, policy.lease_seconds) == ("compute", ["*"], 30)
    assert policy.recovery == "automatic"
    assert policy.pcrs["sha256"][7] == [b"\xab" * 32, b"\xcd" * 32]


def test_selection_is_what_policy_and_event_log_need():
    assert selection_of(parse_policy(GOOD)) == {"sha256": [0, 4, 7]}


def test_level_is_the_lowest_unless_said_otherwise():
    assert parse_policy(GOOD).level == 1
    assert parse_policy(GOOD + "level: 3\n").level == 3


def test_recovery_is_by_an_operator_unless_said_otherwise():
    assert parse_policy(GOOD.replace("recovery: automatic", "")).recovery == "operator"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("name: compute", "name: 'a b'", "name"),
        ("name: compute", "", "name"),
        ('hosts: ["*"]', "hosts: []", "hosts"),
        ('hosts: ["*"]', "hosts: x", "hosts"),
        ('hosts: ["*"]', 'hosts: ["compute-[01-12]"]', "sets in brackets"),
        ('hosts: ["*"]', 'hosts: ["a\\n"]', "no host's name"),
        ("sha256:", "md5:", "md5"),
        ("sha256: {0", "sha256: {24", "0 to 23"),
        ("sha256: {0", "sha256: {true", "0 to 23"),
        (HEX, HEX[1:], "hexadecimal"),
        (f'"{HEX}"]', "]", "may not be empty"),
        ("event_log_pcrs: [4, 0]", "event_log_pcrs: 4", "event_log_pcrs"),
        ("event_log_pcrs: [4, 0]", "event_log_pcrs: [24]", "event_log_pcrs"),
        ("lease_seconds: 30", "lease_seconds: 0", "lease_seconds"),
        ("lease_seconds: 30", "lease_seconds: 1e9", "lease_seconds"),
        ("recovery: automatic", "recovery: never", "recovery"),
        ("recovery: automatic", "recover: automatic", "recover"),
        ("recovery: automatic", "name: other", "twice"),
        ("recovery: automatic", "recovery: [", "not YAML"),
        ("recovery: automatic", "recovery: !!python/object:os.system {}", "not YAML"),
    ],
)
def test_wrong_policy_is_one_error_that_names_the_field(old, new, named):
    assert old in GOOD
    with pytest.raises(PolicyError, match=named):
        parse_policy(GOOD.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "[]", "just text", "pcrs: {}", "&a [*a]", "a: &x 1\nb: *x"])
def test_what_is_no_policy_is_refused(text):
    with pytest.raises(PolicyError):
        parse_policy(text)


@given(st.text(max_size=120))
@settings(max_examples=300)
def test_any_text_is_refused_with_one_error(text):
    with pytest.raises(PolicyError):
        parse_policy(text)
