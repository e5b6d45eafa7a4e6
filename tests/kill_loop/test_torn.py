"""The reader's eye: each kind of torn state, planted, is told; what a healthy run shows on its way is not."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.kill_loop.torn import TornDetector
from tests.kill_loop.versions import ACTORS, BASE, mixture

NAME = "streaming/2026/11/events-1-2026-11-23-08-{}-00-b3534528-5ae1-4821-a7c4-965dade5b8ad"
FIRST, SECOND = NAME.format("10"), NAME.format("11")


def event(number: int) -> bytes:
    fields = {
        "timestamp": "2026-11-23T08:09:00Z",
        "eventtype": "rent",
        "film_id": 1,
        "distributor": "d",
        "platform": "p",
        "state": "Ohio",
        "event_id": f"00000000-0000-4000-8000-{number:012}",
    }
    return json.dumps(fields).encode()


def event_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


@pytest.fixture
def detector() -> TornDetector:
    """FIRST: events 1 and 2, a bad line. SECOND: event 3, a copy of event 2, a bad line."""
    made = TornDetector()
    made.announce(FIRST, b"\n".join([event(1), event(2), b"{bad"]))
    made.announce(SECOND, b"\n".join([event(3), event(2), b"{bad"]))
    return made


def films(*rows: tuple[str, int, int]) -> pa.Table:
    """Rows of streaming_films: file, line, number of the event."""
    schema = pa.schema([("source_file", pa.string()), ("source_line", pa.int32()), ("event_id", pa.string())])
    return pa.Table.from_pylist(
        [{"source_file": f, "source_line": n, "event_id": event_id(e)} for f, n, e in rows], schema
    )


def lines(*rows: tuple[str, int]) -> pa.Table:
    """Rows of the quarantine: file, line."""
    schema = pa.schema([("source_file", pa.string()), ("source_line", pa.int32())])
    return pa.Table.from_pylist([{"source_file": f, "source_line": n} for f, n in rows], schema)


def counts(*rows: tuple[str, int, int, int, int]) -> pa.Table:
    """Rows of the reconciliation: file, landed, enriched, quarantined, duplicates."""
    names = ("source_file", "landed", "enriched", "quarantined", "duplicates")
    schema = pa.schema([(name, pa.int64() if n else pa.string()) for n, name in enumerate(names)])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema)


ALL_FILMS = [(FIRST, 1, 1), (FIRST, 2, 2), (SECOND, 1, 3)]
ALL_LINES = [(FIRST, 3), (SECOND, 2), (SECOND, 3)]


def test_a_healthy_run_shows_nothing_torn(detector: TornDetector) -> None:
    assert detector.reconciliation(counts()) == detector.films(films()) == detector.quarantine(lines()) == []
    assert detector.quarantine(lines((FIRST, 3))) == []  # quarantine is committed first
    assert detector.films(films(*ALL_FILMS[:2])) == []
    assert detector.reconciliation(counts((FIRST, 3, 2, 1, 0))) == detector.done_objects() == []
    assert detector.quarantine(lines(*ALL_LINES)) == detector.films(films(*ALL_FILMS)) == []
    assert detector.reconciliation(counts((FIRST, 3, 2, 1, 0), (SECOND, 3, 1, 1, 1))) == detector.done_objects() == []


def test_another_copy_may_count_later(detector: TornDetector) -> None:
    """An object that comes late with an older name takes over a copy: the event is still there once."""
    assert detector.films(films((SECOND, 1, 3), (SECOND, 2, 2))) == []
    assert detector.films(films(*ALL_FILMS)) == []


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ([], [(FIRST, 1, 1)], "object in part: 1"),
        ([], [*ALL_FILMS, (FIRST, 1, 1)], "line twice: 1"),
        ([], [*ALL_FILMS, (SECOND, 2, 2)], "event twice: 1"),
        ([], [*ALL_FILMS, (SECOND, 9, 9)], "row of no landed line: 1"),
        (ALL_FILMS, ALL_FILMS[:2], "event seen before is gone: 1"),
        (ALL_FILMS, [], "event seen before is gone: 3"),
    ],
)
def test_a_torn_snapshot_of_streaming_films(
    detector: TornDetector, before: list[Any], now: list[Any], told: str
) -> None:
    assert detector.films(films(*before)) == []
    assert any(finding.startswith(told) for finding in detector.films(films(*now)))


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ([], [(SECOND, 2)], "object in part: 1"),
        ([], [(FIRST, 3), (FIRST, 3)], "line twice: 1"),
        (ALL_LINES, [(FIRST, 3)], "line seen before is gone: 1"),
    ],
)
def test_a_torn_snapshot_of_the_quarantine(
    detector: TornDetector, before: list[Any], now: list[Any], told: str
) -> None:
    assert detector.quarantine(lines(*before)) == []
    assert any(finding.startswith(told) for finding in detector.quarantine(lines(*now)))


def test_counts_that_are_not_so(detector: TornDetector) -> None:
    assert "counts that do not add up: 1" in detector.reconciliation(counts((FIRST, 3, 1, 1, 0)))[0]
    assert "landed miscounted: 1" in detector.reconciliation(counts((FIRST, 4, 3, 1, 0)))[0]


def test_an_object_that_is_done_before_its_rows_are_there(detector: TornDetector) -> None:
    detector.reconciliation(counts((FIRST, 3, 2, 1, 0)))
    detector.films(films(*ALL_FILMS[:2]))
    assert [finding.partition(":")[0] for finding in detector.done_objects()] == ["line of a done object"]
    detector.quarantine(lines((FIRST, 3)))
    assert detector.done_objects() == []


def parquet(versions: list[int]) -> bytes:
    rows = {"actor_id": range(len(versions)), "last_update": [BASE + timedelta(seconds=v) for v in versions]}
    written = io.BytesIO()
    pq.write_table(pa.table({name: list(values) for name, values in rows.items()}), written)
    return written.getvalue()


def test_a_parquet_object_of_two_versions_is_a_mixture() -> None:
    rows = {"actor": ACTORS, "city": 10}
    assert mixture("city", parquet([3] * 10), rows, newest=3) is None
    assert mixture("actor", parquet([3] * (ACTORS + 3)), rows, newest=3) is None
    assert "rows of versions" in str(mixture("city", parquet([3] * 9 + [4]), rows, newest=4))
    assert "rows of versions" in str(mixture("city", parquet([4] * 10), rows, newest=3)), "a version never written"
    assert "9 rows" in str(mixture("city", parquet([3] * 9), rows, newest=3))
    assert f"{ACTORS} rows" in str(mixture("actor", parquet([3] * ACTORS), rows, newest=3))
