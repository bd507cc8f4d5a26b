# SPDX-License-Identifier: Apache-2.0
"""The main job on the real OpenStack: every chapter that tools/demo tells comes out as told."""

from __future__ import annotations

import pytest

from e2edemo import chapter as chapters_of
from e2edemo.chapters import CHAPTERS

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    "chapter", CHAPTERS, ids=lambda c: f"{c.number}-{c.tell.__module__.rsplit('.')[-1]}"
)
def test_chapter_comes_out_as_told(stage, chapter, record_property):
    stage.teller.chapter(chapter)
    outcome = chapters_of.run(chapter, stage)
    stage.teller.outcome(outcome)
    record_property("evidence", outcome.evidence)
    assert outcome.as_told, outcome.evidence.get("trace") or outcome.evidence.get("failure")
