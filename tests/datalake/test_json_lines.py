"""Lines that are not one JSON object, and how much of each the quarantine keeps."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalake.events import Event, Rejection, parse_object
from datalake.json_lines import MAX_KEPT_BYTES, SEVERAL_VALUES, quarantine_text
from tests.datalake.test_events import GOOD, KEY, parse


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"film_id": 1, "state": "\xff"}', "not UTF-8"),
        ("{}{}", SEVERAL_VALUES),
        (json.dumps(GOOD) * 2, SEVERAL_VALUES),
        (json.dumps(GOOD)[:-9], "not JSON"),
        ("\ufeff\ufeff" + json.dumps(GOOD), "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[" * 101 + "]" * 101, "not JSON"),
        ("[" * 100 + "]" * 100, "not a JSON object"),
        ('{"film_id": NaN}', "not JSON"),
        ('{"film_id": ' + "9" * 5000 + "}", "not JSON"),
        ("[]", "not a JSON object"),
        ("17", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"state": "Utah", "State": "Utah"}', "duplicate key"),
        ('{"state": "Utah", "state": "Iowa"}', "duplicate key"),
        ("x" * 1_024_001, "line too long"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_lines_that_are_no_record(line: str | bytes, reason: str) -> None:
    assert parse(line) == reason


def test_nesting_is_bounded_whoever_calls() -> None:
    deepest, deeper = (GOOD | {"x": json.loads("[" * n + '"[[[[\\"[["' + "]" * n)} for n in (99, 100))

    def called_from(depth: int, event: dict[str, Any]) -> Any:
        return called_from(depth - 1, event) if depth else parse(event)

    assert isinstance(called_from(0, deepest), Event)
    assert isinstance(called_from(400, deepest), Event)
    assert called_from(0, deeper) == called_from(400, deeper) == "not JSON"


BROKEN = json.dumps(GOOD)[:40] + "}"


@pytest.mark.parametrize(
    ("pieces", "reason", "values"),
    [
        ([json.dumps(GOOD)] * 3, SEVERAL_VALUES, 3),
        ([json.dumps(GOOD), " \t\r", json.dumps(GOOD)], SEVERAL_VALUES, 2),
        (["\ufeff" + json.dumps(GOOD)] * 2, SEVERAL_VALUES, 2),  # each record with a byte order mark
        ([json.dumps(GOOD), json.dumps(GOOD)[:-30]], SEVERAL_VALUES, 2),  # the last one is cut off
        ([json.dumps(GOOD), BROKEN, json.dumps(GOOD), json.dumps(GOOD)], SEVERAL_VALUES, 4),
        ([BROKEN, json.dumps(GOOD)], SEVERAL_VALUES, 2),
        ([json.dumps(GOOD | {"note": "}{"})] * 2, SEVERAL_VALUES, 2),
        (["{" + '"x":{' * 100 + "}" * 101, json.dumps(GOOD)], SEVERAL_VALUES, 2),
        (['{"a":' * 5000 + "}", json.dumps(GOOD)], SEVERAL_VALUES, 2),  # deeper than Python's own parser goes
        ([BROKEN, BROKEN], "not JSON", 1),
        ([json.dumps(GOOD), ",", json.dumps(GOOD)], "not JSON", 1),
        (["17", json.dumps(GOOD)], "not JSON", 1),
        ([json.dumps([GOOD, GOOD])], "not a JSON object", 2),
        (["[]"], "not a JSON object", 1),
        ([json.dumps(GOOD | {"note": "x" * 512_000})] * 2, SEVERAL_VALUES, 2),  # longer than a record can be
        (["{" + " " * 1_024_000, "}"], "line too long", 1),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_line_of_several_values_says_what_to_do(pieces: list[str], reason: str, values: int) -> None:
    (line,) = parse_object(KEY, "".join(pieces).encode())
    assert line.outcome == Rejection(reason, values)


@given(st.lists(st.tuples(st.integers(1, 999), st.text(max_size=9)), min_size=2, max_size=8))
def test_records_without_a_newline_are_all_counted(films: list[tuple[int, str]]) -> None:
    records = [json.dumps(GOOD | {"film_id": film, "state": state}, ensure_ascii=False) for film, state in films]
    (line,) = parse_object(KEY, "".join(records).encode())
    assert line.outcome == Rejection(SEVERAL_VALUES, len(films))


def test_the_text_of_a_rejected_line() -> None:
    assert quarantine_text("Zoë\r".encode()) == ("Zoë\r", "utf-8")
    assert quarantine_text(b"\xff") == ("/w==", "base64")
    assert quarantine_text(b"x" * MAX_KEPT_BYTES) == ("x" * MAX_KEPT_BYTES, "utf-8")
    raw, encoding = quarantine_text(b"x" * (MAX_KEPT_BYTES + 1))
    assert (encoding, base64.b64decode(raw)) == ("base64-start", b"x" * 65_536)
