"""Formats of dates, compared with what moment.js 2.17.1 wrote (recorded.json): every token, in and around others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdg.moment import formatter
from tests.kdg.recorded import RECORDED

FORMATS = RECORDED["formats"]
NOON = datetime(2026, 9, 21, 12, 3, 5, 48_000, UTC)


@pytest.mark.parametrize("entry", RECORDED["moments"], ids=lambda entry: f"{entry['zone']}-{entry['time']}")
def test_every_token_is_written_as_moment_writes_it(entry: dict[str, Any]) -> None:
    moment = datetime.fromtimestamp(entry["time"] / 1000, ZoneInfo(entry["zone"]))
    assert {form: formatter(form, utc=False)(moment) for form in FORMATS} == dict(
        zip(FORMATS, entry["now"], strict=True)
    )
    if entry["utc"]:
        assert {form: formatter(form, utc=True)(moment) for form in FORMATS} == dict(
            zip(FORMATS, entry["utc"], strict=True)
        )


def test_the_recording_has_every_token() -> None:
    """Of https://momentjs.com/docs/#/displaying/format/, but for the eras, which came after 2.17.1."""
    tokens = (
        "M Mo MM MMM MMMM Q Qo D Do DD DDD DDDo DDDD d do dd ddd dddd e E w wo ww W Wo WW YY YYYY YYYYYY Y gg gggg GG "
        "GGGG A a H HH h hh k kk m mm s ss S SS SSS SSSS SSSSSSSSS z zz Z ZZ X x LT LTS L l LL ll LLL lll LLLL llll"
    )
    assert set(tokens.split()) <= set(FORMATS)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("ss.SSSSSS", "05.048000"),
        ("DDD", "264"),
        ("YYYY-MM-DDTHH:mm:ss.SSS", "2026-09-21T12:03:05.048"),
        ("[DD] \\D D", "DD D 21"),
    ],
)
def test_formats_that_people_had_trouble_with(form: str, expected: str) -> None:
    assert formatter(form, utc=True)(NOON) == expected


@given(st.text(alphabet="BCFIJNOPRTUVbcfijnopqrtuv-:/. éü年", max_size=20))
def test_what_is_no_token_is_written_as_it_is(text: str) -> None:
    assert formatter(text, utc=True)(NOON) == text
