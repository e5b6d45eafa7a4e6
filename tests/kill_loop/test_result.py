"""When a kill loop has passed, and that the document shows the last recorded one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oracle.model import FAULTS
from tests.kill_loop.result import BEGIN, DOCUMENT, END, RESULTS, Result, document, recorded

CLEAN = Result(
    date="2026-11-23",
    seed=1,
    wanted=20,
    minutes=8.0,
    killed={"spark": 12, "task": 8},
    reruns={"task retries": 15, "redeliveries": 5},
    acknowledged=1000,
    objects=12,
    landed=1030,
    enriched=1000,
    quarantined=10,
    duplicates=20,
    reader={"polls": 400, "unanswered": 9, "snapshots": {"streaming_films": 7}, "clean_objects": 99, "torn": 0},
    judged=dict.fromkeys(FAULTS, 0),
    clean={"lost": 0, "doubled": 0, "wrong": 0},
)


def test_a_clean_loop_passes() -> None:
    assert CLEAN.faults == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"judged": CLEAN.judged | {"lost": 1}}, "1 lost"),
        ({"judged": CLEAN.judged | {"doubled": 2}}, "2 doubled"),
        ({"clean": CLEAN.clean | {"wrong": 3}}, "3 wrong in the clean zone"),
        ({"reader": CLEAN.reader | {"torn": 1}}, "1 torn reads"),
        ({"reruns": {"task retries": 21}}, "21 re-runs for 20 kills"),
        ({"killed": {"spark": 19}, "reruns": {}}, "only 19 of 20 kills"),
        ({"duplicates": 19}, "landed is not enriched + quarantined + duplicates"),
    ],
)
def test_anything_else_fails(changed: dict[str, Any], told: str) -> None:
    assert replace(CLEAN, **changed).faults == [told]


def test_the_table_goes_between_its_markers_and_nowhere_else() -> None:
    text = f"before\n{BEGIN}old\n{END}after\n"
    written = document(text, CLEAN)
    assert written.startswith(f"before\n{BEGIN}| | |\n")
    assert written.endswith(f"Last run: 2026-11-23, seed 1.\n{END}after\n")
    assert "| kills | 20 in 8 minutes |" in written
    assert "| torn reads | 0 |" in written


@pytest.mark.skipif(not RESULTS.exists(), reason="no loop was recorded yet")
def test_the_document_shows_the_last_recorded_loop() -> None:
    result = recorded()
    assert document(DOCUMENT.read_text(), result) == DOCUMENT.read_text()
    assert result.faults == []
    assert result.kills >= 200
