"""CONTRIBUTING.md tells a newcomer where to add things, and every path in its answers exists."""

from __future__ import annotations

import re

import pytest

from local.settings import ROOT
from tests.docs.guides import Guide

QUESTIONS = (
    "a column to `streaming_films`",
    "an Athena statement",
    "a DAG",
    "a service of the home",
    "a saved query",
    "an alarm",
)
ROWS = Guide(ROOT / "CONTRIBUTING.md").table("Where do I ...")[1:]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_one_or_two_paths_that_exist(question: str) -> None:
    [answer] = (answer for asked, answer in ROWS if asked.startswith(question))
    paths = re.findall(r"\]\(([^)]+)\)", answer)
    assert len(paths) in (1, 2)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_no_question_is_left_out() -> None:
    assert len(ROWS) == len(QUESTIONS)
