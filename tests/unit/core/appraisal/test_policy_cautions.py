# SPDX-License-Identifier: Apache-2.0
"""Policies that trust more than was meant say so, and no other does."""

from __future__ import annotations

import hashlib

import pytest

from e2etrust_core.appraisal.policy import parse_policy
from e2etrust_core.appraisal.policy_cautions import cautions
from e2etrust_core.appraisal.policy_ima import FilesBeside
from e2etrust_core.errors import PolicyError

HEAD = "name: p\nhosts: ['*']\n"
SHA1, SHA256 = "ab" * 20, "ab" * 32
RULES = "rules: [{type: EV_SEPARATOR, pcr: %s, data: ['00000000']}]"
UNSEEN = "{type: EV_POST_CODE, pcr: %s, anything: true, times: any}"
BOOT = f"pcrs: {{sha256: {{4: ['{SHA256}']}}}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"pcrs: {{sha1: {{7: ['{SHA1}']}}}}", "bank sha1"),
        ("events: {bank: sha1, pcrs: [7], " + RULES % 7 + "}", "bank sha1"),
        (BOOT + "ima: {bank: sha1, buffers: [{name: a, anything: true}]}", "bank sha1"),
        (f"pcrs: {{sha256: {{7: ['{SHA256}'], 23: ['{SHA256}']}}}}", "PCR 23"),
        (f"pcrs: {{sha256: {{10: ['{SHA256}']}}}}", "no PCR of what boots"),
        (f"pcrs: {{sha256: {{0: ['{SHA256}', '{'00' * 32}']}}}}", "PCR sha256:0"),
        (BOOT.replace("4:", "7:") + "ima: {buffers: [{name: a, anything: true}]}", "which kernel"),
        (BOOT + "ima: {allow: [files], exclude: ['/*']}", "every file"),
        (
            "events: {pcrs: [7], " + (RULES % 7)[:-1] + "," + UNSEEN % 7 + "]}",
            "rule 2 accepts any number",
        ),
        (BOOT + "lease_seconds: 3600", "3600 seconds"),
    ],
)
def test_what_trusts_more_than_was_meant_is_told(tmp_path, text, told):
    (tmp_path / "files").write_text(f"{hashlib.sha256().hexdigest()}  /bin/sh\n")
    (found,) = cautions(parse_policy(HEAD + text, FilesBeside(tmp_path)))
    assert told in found


@pytest.mark.parametrize(
    "text",
    [
        BOOT,
        f"pcrs: {{sha256: {{7: ['{SHA256}'], 8: ['{'00' * 32}']}}}}",
        BOOT + "ima: {exclude: ['*'], buffers: [{name: a, anything: true}]}",
        "events: {pcrs: [7], " + RULES % 7 + "}",
        "observe: {sha256: [16, 23]}",
    ],
)
def test_of_others_nothing_is_told(text):
    assert not cautions(parse_policy(HEAD + text))


@pytest.mark.parametrize(
    "text",
    [
        f"pcrs: {{sha256: {{16: ['{SHA256}'], 23: ['{SHA256}']}}}}",
        "events: {pcrs: [23], " + RULES % 23 + "}",
    ],
)
def test_policy_that_decides_by_pcrs_that_anybody_resets_is_none(text):
    with pytest.raises(PolicyError, match="resets"):
        parse_policy(HEAD + text)
