"""Records as partners send them (tests/cases/records): the lake's parser and the oracle's against what each must be."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from datalake.events import Event, parse_object
from oracle import lines
from oracle.model import Enriched

FOLDER = Path(__file__).parents[1] / "cases/records"
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]
KEY = "streaming/2026/11/lake-events-1-2026-11-30-12-05-00-0f8fad5b-d9cb-469f-a165-70867728950e"


def test_each_file_is_a_case_and_each_case_names_its_source() -> None:
    assert sorted(case["file"] for case in CASES) == sorted(
        path.name for path in FOLDER.iterdir() if path.suffix != ".toml"
    )
    assert all(case["source"] and case["shows"].endswith(".") for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
def test_a_record_becomes_what_it_must(case: dict[str, Any]) -> None:
    body = (FOLDER / case["file"]).read_bytes()
    values = case.get("values", [1] * len(case["lines"]))
    lake = [
        (f"{one.film_id} {one.event_time}", 1) if isinstance(one, Event) else (one.reason, one.values)
        for one in (line.outcome for line in parse_object(KEY, body))
    ]
    assert lake == list(zip(case["lines"], values, strict=True))
    landed = lines.read(KEY, body, set())
    oracle = [
        (f"{one.film_id} {one.event_time}" if isinstance(one, Enriched) else one.reason, landed.values.get(number, 1))
        for number, one in landed.lines.items()
    ]
    assert oracle == lake
