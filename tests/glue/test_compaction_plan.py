"""Which data files a compaction puts together."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from datalake.months import Month
from datalake_spark.table_maintenance import DataFile, Span, plan_spans
from tests.glue.lake import NOVEMBER, STREAM, at, key

NOON = at("2026-11-10 12:00:00")
LONG_AGO = NOON - timedelta(days=5)
BEFORE = NOON - timedelta(hours=72)  # hourly runs after an object of noon may read files from here on


def data_file(first: datetime, last: datetime | None = None, stream: str = STREAM, size: int = 1000) -> DataFile:
    """A file of the objects from ``first`` to ``last``."""
    low = key(first, stream)
    return DataFile(Month.of_time(first), low, key(last, stream) if last else low, size)


def hourly_files(count: int, since: datetime = LONG_AGO, **changes: Any) -> list[DataFile]:
    """One file an hour."""
    return [data_file(since + timedelta(hours=n), **changes) for n in range(count)]


def test_many_small_files_of_one_series_are_one_span() -> None:
    files = hourly_files(6)
    assert plan_spans(reversed(files), BEFORE) == [Span(NOVEMBER, files[0].low, files[-1].high)]


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(hourly_files(4), id="few"),
        pytest.param(hourly_files(40, size=400 * 2**20), id="large"),
        pytest.param(hourly_files(40, since=BEFORE), id="young"),
        pytest.param([*hourly_files(4), *hourly_files(4, since=BEFORE)], id="few are old"),
        pytest.param([*hourly_files(4), *hourly_files(4, stream="b-1-")], id="two series"),
        pytest.param([*hourly_files(4), *hourly_files(4, since=at("2026-10-30 00:00:00"))], id="two months"),
        pytest.param(
            [DataFile(NOVEMBER, f"streaming/2026/11/{n}", f"streaming/2026/11/{n}", 9) for n in range(9)], id="untimed"
        ),
    ],
)
def test_what_is_left_as_it_is(files: list[DataFile]) -> None:
    assert plan_spans(files, BEFORE) == []


def test_a_file_that_a_condition_could_not_leave_out_is_not_in_a_span() -> None:
    """A late object was committed with the newest ones: its file spans from then to now."""
    files = hourly_files(12)
    late = data_file(LONG_AGO + timedelta(hours=5, minutes=30), NOON)
    assert plan_spans([*files, late], BEFORE) == [Span(NOVEMBER, files[0].low, files[5].high)]
    mixed = DataFile(NOVEMBER, files[9].low, key(NOON, "z-1-"), 1000)
    assert plan_spans([*files, mixed], BEFORE) == [Span(NOVEMBER, files[0].low, files[8].high)]
