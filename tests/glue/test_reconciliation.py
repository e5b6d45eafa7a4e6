"""Which objects are done, and what is said of each, when runs break off, meet others, or lose a row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame

from datalake.months import Month
from datalake.tables import QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark import table_rows
from datalake_spark.reconciliation import Unreconciled
from tests.faults.commits import PowerCut, commits
from tests.glue.lake import TestLake, at, event, key, lines

pytestmark = [pytest.mark.spark, pytest.mark.services]

NOON = at("2026-11-10 12:00:00")
HOUR = timedelta(hours=1)


def accounts(lake: TestLake) -> dict[str, tuple[int, ...]]:
    """Landed, enriched, quarantined, duplicates, unknown films by object, as of its newest row."""
    rows = lake.reconciliation().orderBy("committed_at").collect()
    return {row.source_file: tuple(row)[4:9] for row in rows}


def test_each_object_and_run_has_one_row_that_adds_up(lake: TestLake) -> None:
    one = event(NOON)
    mixed = lake.put(key(NOON), b"bad\n\n" + lines(one, one, event(NOON, film_id=999), event(NOON)))
    blank = lake.put(key(NOON + timedelta(minutes=1)), b"\n \r\n\t")
    odd = lake.put("streaming/loose", b"a\nb")
    first, again = lake.run(), lake.run()
    first.take_new()
    again.rebuild(Month.parse("2026-11"))
    found = {(row.run_id, row.mode, row.source_file): row for row in lake.reconciliation().collect()}
    november = {mixed: (5, 3, 1, 1, 1), blank: (0, 0, 0, 0, 0)}
    assert {which: tuple(row)[4:9] for which, row in found.items()} == {
        **{(first.run_id, "hourly", file): numbers for file, numbers in november.items()},
        (first.run_id, "hourly", odd): (2, 0, 2, 0, 0),
        **{(again.run_id, "rebuild", file): numbers for file, numbers in november.items()},
    }
    assert lake.reconciliation().count() == 5
    times = [found[run.run_id, mode, mixed].committed_at for run, mode in ((first, "hourly"), (again, "rebuild"))]
    assert times == sorted(times)
    assert len(times[0]) == len("yyyy-MM-ddTHH:mm:ssZ")
    assert {(row.partition_0, row.partition_1) for (*_, file), row in found.items() if file == odd} == {
        ("unknown", "unknown")
    }
    report: Any = first.report.as_dict()
    numbers = ("objects", "landed", "enriched", "quarantined", "duplicates", "unknown_films")
    assert [report[name] for name in numbers] == [3, 7, 3, 3, 1, 1]
    assert lake.hourly().objects == 0


@pytest.mark.parametrize("table", [QUARANTINE, STREAMING_FILMS, RECONCILIATION], ids=lambda table: table.name)
def test_a_run_that_breaks_off_after_any_commit_is_made_good(lake: TestLake, table: Any) -> None:
    lake.land(NOON - HOUR)
    lake.hourly()
    one = event(NOON)
    mixed = lake.put(key(NOON), b"bad\n" + lines(one))
    bad = lake.put(key(NOON + timedelta(minutes=1)), b"all\nbad")
    copies = lake.put(key(NOON + timedelta(minutes=2)), lines(one, one))

    def cut(committed: str) -> None:
        if committed == table.name:
            raise PowerCut

    with commits(after=cut), pytest.raises(PowerCut):
        lake.hourly()
    taken = lake.hourly()
    assert taken.objects == (0 if table is RECONCILIATION else 4)  # the month is written anew
    assert {file: accounts(lake)[file] for file in (mixed, bad, copies)} == {
        mixed: (2, 1, 1, 0, 0),
        bad: (2, 0, 2, 0, 0),
        copies: (2, 0, 0, 2, 0),
    }
    assert (lake.films().count(), lake.reasons()) == (2, {"not JSON": 3, "duplicate": 2})
    assert lake.hourly().objects == 0
    assert lake.same_after_rebuild("2026-11")


def test_a_rebuild_of_done_objects_that_breaks_off_is_made_good_by_the_hourly_run(lake: TestLake) -> None:
    edge = at("2026-11-01 00:00:00")
    one = event(edge - HOUR)
    counted = lake.land(edge + HOUR, one)
    lake.hourly()
    first = lake.land(edge - HOUR, one)
    assert lake.rebuild("2026-10").stale_months == {"2026-11"}

    def cut(committed: str) -> None:
        if committed == QUARANTINE.name:
            raise PowerCut

    with commits(after=cut), pytest.raises(PowerCut):
        lake.rebuild("2026-11")
    assert accounts(lake)[counted] == (1, 1, 0, 0, 0)
    assert lake.hourly().months == {"2026-11"}
    assert [row.source_file for row in lake.films().collect()] == [first]
    assert accounts(lake)[counted] == (1, 0, 0, 1, 0)
    assert lake.hourly().objects == 0


def test_an_object_whose_rows_are_not_its_lines_is_not_done(lake: TestLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lossy = lake.land(NOON, event(NOON), event(NOON), event(NOON))
    enrich = table_rows.enrich

    def losing(lines: DataFrame, films: DataFrame, month: Month) -> DataFrame:
        return enrich(lines, films, month).where("source_line <> 2")

    with monkeypatch.context() as patch:
        patch.setattr(table_rows, "enrich", losing)
        with pytest.raises(Unreconciled, match=f"{lossy}: 3 lines landed, 2 enriched, 0 quarantined, 0 duplicates"):
            lake.hourly()
    assert lake.reconciliation().count() == 0
    assert (lake.hourly().landed, lake.films().count(), accounts(lake)) == (3, 3, {lossy: (3, 3, 0, 0, 0)})


def test_a_twin_that_judges_the_same_line_otherwise_doubles_nothing(lake: TestLake) -> None:
    """The slower run counts a line as good; the faster one, which lists later, finds an earlier copy of it.

    Their commits interleave so that Iceberg sees no conflict: the copies lie in different objects and tables.
    """
    one = event(NOON)
    other = lake.put(key(NOON - HOUR), b"bad\n" + lines(event(NOON)))  # both tables have files of the month
    lake.hourly()
    late = lake.land(NOON, one)
    slow, early = lake.run(), key(NOON - timedelta(minutes=5))
    ran: list[str] = []

    def overtaken(committed: str) -> None:
        if not ran and committed == QUARANTINE.name:
            ran.append(committed)
            lake.put(early, lines(one))
            lake.hourly()

    with commits(after=overtaken):
        slow.take_new()
    assert ran
    assert {(row.source_file, row.source_line) for row in lake.films().collect()} == {(other, 2), (early, 1)}
    assert {(row.source_file, row.reason) for row in lake.quarantine().collect()} == {
        (other, "not JSON"),
        (late, "duplicate"),
    }
    assert (accounts(lake)[late], accounts(lake)[early]) == ((1, 0, 0, 1, 0), (1, 1, 0, 0, 0))
    assert lake.same_after_rebuild("2026-11")


@pytest.mark.parametrize("together", [True, False])
def test_a_repair_counts_only_what_has_landed(lake: TestLake, together: bool) -> None:
    landed = key(NOON)
    repairs = [
        {"supersedes": {"source_file": landed, "source_line": number}, "event": event(NOON, state=state)}
        for number, state in ((1, "Iowa"), (3, "Ohio"))
    ]
    repair = lake.land(NOON, *repairs, root="streaming-repaired")
    if not together:
        assert dict(lake.hourly().reasons) == {"repairs no landed line": 2}
    lake.put(landed, b"bad\n" + lines(event(NOON, state="Utah")))
    lake.hourly()
    assert {(row.source_file, row.state) for row in lake.films().collect()} == {(repair, "Iowa"), (landed, "Utah")}
    assert {(row.source_file, row.source_line, row.reason, row.raw) for row in lake.quarantine().collect()} == {
        (landed, 1, "superseded", "bad"),
        (repair, 2, "repairs no landed line", lines(repairs[1]).decode().strip()),
    }
    assert lake.same_after_rebuild("2026-11")


def test_a_field_that_no_event_has_any_more_is_reported(lake: TestLake) -> None:
    lake.land(NOON, event(NOON), event(NOON, event_id=None))
    assert lake.hourly().as_dict()["vanished_fields"] == []
    lake.put(key(NOON + HOUR), lines(event(NOON, event_id=None)) + b"bad\n")
    assert lake.hourly().as_dict()["vanished_fields"] == ["event_id"]
    lake.put(key(NOON + 2 * HOUR), b"bad\n")
    assert lake.hourly().as_dict()["vanished_fields"] == []
