"""The enrichment end to end: Spark, Iceberg's GlueCatalog and S3FileIO on a real emulator."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from datalake.json_lines import SEVERAL_VALUES
from datalake.tables import STREAMING_FILMS
from datalake_spark import enrichment, iceberg
from datalake_spark.enrichment import LandingIncomplete, UnusableFilms
from tests.glue.lake import TestLake, at, event, key, lines

pytestmark = [pytest.mark.spark, pytest.mark.services]

NOON = at("2026-11-10 12:00:00")
# The row of an event as tests.glue.lake makes it, of film 3, in the first line of its object
ENRICHED: dict[str, Any] = {
    "timestamp": "2026-11-10T11:59:55+00:00",
    "eventtype": "rent",
    "film_id_streaming": 3,
    "distributor": "youtube",
    "platform": "ios",
    "state": "Utah",
    "partition_0": "2026",
    "partition_1": "11",
    "film_id": 3,
    "title": "FILM 3",
    "description": "about it",
    "release_year": 2006,
    "language_id": 1,
    "original_language_id": None,
    "length": 90,
    "rating": "PG",
    "special_features": "Trailers",
    "category_id": 0,
    "category_name": "Category 0",
    "event_time": "2026-11-10T11:59:55Z",
    "source_line": 1,
}


def test_each_landed_line_ends_in_one_table(lake: TestLake) -> None:
    good = event(NOON, film_id=3)
    unknown = event(NOON, film_id=999, price=1, Currency="EUR")
    landed = lake.put(
        "streaming/2026/11/sakila-streams-test-events-1-2026-11-10-12-00-00-00000000-0000-0000-0000-000000000001",
        lines(good) + b"\n{broken\n\xff\xfe\n" + lines(unknown),
    )
    report = lake.hourly()
    assert report.as_dict() | {"snapshot_id": 0, "film_category_snapshot": 0} == {
        "months": ["2026-11"],
        "objects": 1,
        "landed": 4,
        "enriched": 2,
        "quarantined": 2,
        "duplicates": 0,
        "unknown_films": 1,
        "reasons": {"not JSON": 1, "not UTF-8": 1},
        "unknown_fields": {"currency": 1, "price": 1},
        "vanished_fields": [],
        "stale_months": [],
        "snapshot_id": 0,
        "film_category_snapshot": 0,
    }
    rows = {row.source_line: row.asDict() for row in lake.films().collect()}
    assert rows.keys() == {1, 5}
    assert rows[1] == {**ENRICHED, "event_id": good["event_id"], "source_file": landed}
    assert (rows[5]["film_id_streaming"], rows[5]["film_id"], rows[5]["title"]) == (999, None, None)
    quarantined = {row.source_line: (row.reason, row.raw, row.raw_encoding) for row in lake.quarantine().collect()}
    assert quarantined == {3: ("not JSON", "{broken", "utf-8"), 4: ("not UTF-8", "//4=", "base64")}


def test_a_second_run_finds_nothing_and_commits_nothing(lake: TestLake) -> None:
    lake.land(NOON)
    lake.hourly()
    before = lake.snapshots()
    report = lake.hourly()
    assert (report.landed, report.objects, report.months) == (0, 0, set())
    assert (lake.films().count(), lake.snapshots()) == (1, before)


def test_hourly_runs_add_files_and_leave_the_old_ones(lake: TestLake) -> None:
    for hour in range(3):
        for second in range(2):
            time = NOON + timedelta(hours=hour, seconds=second)
            lake.land(time, event(time), event(time))
        report = lake.hourly()
        assert (report.objects, report.enriched) == (2, 4)
    assert lake.data_files() == 3
    assert lake.films().select("source_file").distinct().count() == 6


def test_two_months_in_one_run_are_two_commits(lake: TestLake) -> None:
    for time in (at("2026-10-31 23:59:50"), at("2026-11-01 00:00:10")):
        lake.land(time)
    report = lake.hourly()
    assert (report.months, report.landed, lake.snapshots()) == ({"2026-10", "2026-11"}, 2, 2)
    rows = lake.films().select("partition_0", "partition_1", "source_file").collect()
    assert all(row.source_file.startswith(f"streaming/{row.partition_0}/{row.partition_1}/") for row in rows)


def test_a_late_object_inside_a_files_bounds_is_taken_by_writing_the_month_anew(lake: TestLake) -> None:
    for minute in (0, 10):
        lake.land(NOON + timedelta(minutes=minute))
    lake.hourly()
    late = lake.land(NOON + timedelta(minutes=5))
    lake.hourly()
    assert lake.films().where(f"source_file = '{late}'").count() == 1
    assert (lake.films().count(), lake.data_files()) == (3, 1)


def test_two_streams_do_not_lie_inside_each_others_bounds(lake: TestLake) -> None:
    for hour in range(2):
        for stream in ("a-1-", "b-1-"):
            lake.land(NOON + timedelta(hours=hour), stream=stream)
        lake.hourly()
    assert (lake.films().count(), lake.data_files()) == (4, 4)


def test_more_new_objects_than_iceberg_compares_in_one_list(lake: TestLake) -> None:
    lake.land(NOON)
    lake.hourly()
    for second in range(1, 251):
        lake.land(NOON + timedelta(seconds=second))
    assert lake.hourly().objects == 250
    assert (lake.films().count(), lake.data_files()) == (251, 2)


def test_an_object_of_bad_lines_alone_is_done_once(lake: TestLake) -> None:
    lake.put(key(NOON), b"no\njson\n\nhere\n")
    assert lake.hourly().as_dict()["reasons"] == {"not JSON": 3}
    assert (lake.hourly().landed, lake.films().count(), lake.quarantine().count()) == (0, 0, 3)


def test_odd_keys_are_quarantined_and_nothing_else_suffers(lake: TestLake) -> None:
    odd = [
        lake.put("streaming/2026/11/notes.txt", lines(event(NOON))),
        lake.put("streaming/2026/13/x", b"a\nb\n"),
        lake.put("streaming/loose.json", b"c\n"),
        lake.put(key(NOON, folder="2026/02"), lines(event(NOON))),
    ]
    lake.put("streaming/2026/11/", b"")
    lake.land(NOON)
    report = lake.hourly()
    assert (report.landed, report.enriched, dict(report.reasons)) == (6, 1, {"object name": 5})
    assert report.months == {"2026-02", "2026-11"}
    assert {row.source_file for row in lake.quarantine().collect()} == set(odd)
    lake.land(NOON + timedelta(hours=1))
    report = lake.hourly()
    assert (report.landed, report.objects, lake.data_files()) == (1, 1, 2)
    assert lake.same_after_rebuild("2026-02", "2026-11")


def test_a_repair_replaces_the_line_it_names_and_a_rebuild_keeps_it(lake: TestLake) -> None:
    bad, good = b"{broken", event(NOON, state="Iowa")
    landed = lake.put(key(NOON), bad + b"\n" + lines(good, event(NOON)))
    lake.hourly()
    repairs = [
        {"supersedes": {"source_file": landed, "source_line": 1}, "event": event(NOON, state="Ohio")},
        {"supersedes": {"source_file": landed, "source_line": 2}, "event": good | {"state": "Texas"}},
        {"supersedes": {"source_file": landed, "source_line": 1}, "event": event(NOON, state="Maine")},
        {"supersedes": {"source_file": key(NOON + timedelta(days=1)), "source_line": 1}, "event": event(NOON)},
    ]
    repaired = lake.land(NOON, *repairs, root="streaming-repaired")
    report = lake.hourly()
    assert (report.objects, report.landed, report.bad) == (2, 7, 1)
    states = {(row.source_file, row.state) for row in lake.films().collect()}
    assert states == {(landed, "Utah"), (repaired, "Ohio"), (repaired, "Texas")}
    reasons = {(row.source_file, row.source_line): row.reason for row in lake.quarantine().collect()}
    assert reasons == {
        (landed, 1): "superseded",
        (landed, 2): "superseded",
        (repaired, 3): "already repaired",
        (repaired, 4): "supersedes: expected a line of another object of the same month and time",
    }
    assert lake.hourly().landed == 0
    assert lake.same_after_rebuild("2026-11")


def test_each_event_of_a_line_without_newlines_is_brought_back_once(lake: TestLake) -> None:
    sent = [event(NOON, state=f"State {n}") for n in range(4)]
    landed = lake.put(key(NOON), lines(*sent).replace(b"\n", b"") + b"\n" + lines(event(NOON)))
    report = lake.hourly()
    assert (report.landed, report.enriched, report.bad, report.sent) == (2, 1, 4, 5)

    def repair(*indexes: int) -> list[dict[str, Any]]:
        target = {"source_file": landed, "source_line": 1}
        return [{"supersedes": target | {"source_index": n}, "event": sent[n - 1]} for n in indexes]

    lake.land(NOON, *repair(1, 2, 3), root="streaming-repaired")
    lake.hourly()
    assert lake.reasons() == {SEVERAL_VALUES: 1}  # one event is still missing
    last = lake.land(NOON, *repair(4, 2), root="streaming-repaired")
    assert lake.hourly().bad == 0
    assert lake.reasons() == {"superseded": 1, "already repaired": 1}
    assert sorted(row.state for row in lake.films().collect()) == sorted([*(one["state"] for one in sent), "Utah"])
    assert (last, 1) in {(row.source_file, row.source_line) for row in lake.films().collect()}
    assert lake.same_after_rebuild("2026-11")


def test_a_run_that_breaks_off_between_its_commits_is_made_good(
    lake: TestLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put(key(NOON), b"bad\n" + lines(event(NOON)))
    replace = iceberg.replace_rows

    def broken(rows: Any, table: Any, *rest: Any) -> int:
        if table is STREAMING_FILMS:
            raise RuntimeError("power cut")
        return replace(rows, table, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(enrichment.iceberg, "replace_rows", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            lake.hourly()
    assert (lake.films().count(), lake.quarantine().count()) == (0, 1)
    lake.put(key(NOON + timedelta(minutes=1)), b"bad\n" + lines(event(NOON)))
    assert lake.hourly().landed == 4
    assert (lake.films().count(), lake.quarantine().count()) == (2, 2)


def test_a_twin_that_commits_meanwhile_is_noticed(lake: TestLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.land(NOON - timedelta(hours=1))
    lake.hourly()
    lake.put(key(NOON), b"bad\n" + lines(event(NOON)))
    mine = lake.run()
    replace = iceberg.replace_rows
    conflicts = []

    def raced(*arguments: Any) -> int:
        monkeypatch.setattr(enrichment.iceberg, "replace_rows", replace)
        assert lake.hourly().landed == 2
        try:
            return replace(*arguments)
        except iceberg.Conflict as conflict:
            conflicts.append(str(conflict))
            raise

    monkeypatch.setattr(enrichment.iceberg, "replace_rows", raced)
    mine.take_new()
    assert len(conflicts) == 1
    assert "streaming_events_quarantine" in conflicts[0]
    assert (mine.report.landed, lake.films().count(), lake.quarantine().count()) == (0, 2, 1)


def test_a_rebuild_replaces_its_month_alone(lake: TestLake) -> None:
    october, november = at("2026-10-20 12:00:00"), NOON
    lake.put(key(october), b"bad\n" + lines(event(october)))
    lake.put(key(november), b"bad\n" + lines(event(november)))
    lake.hourly()
    lake.set_films([1])
    kept = lake.films().where("partition_1 = '10'").collect()
    lake.land(november - timedelta(days=5))  # older than the hourly run looks
    assert lake.hourly().landed == 0
    report = lake.rebuild("2026-11")
    assert (report.months, report.landed, report.objects) == ({"2026-11"}, 3, 2)
    assert lake.films().where("partition_1 = '10'").collect() == kept
    assert (lake.films().count(), lake.quarantine().count()) == (3, 2)


def test_the_sweep_finds_stragglers(lake: TestLake) -> None:
    lake.land(NOON)
    lake.hourly()
    lake.land(at("2026-07-01 00:00:00"))
    assert lake.hourly().landed == 0
    run = lake.run()
    run.take_new(everything=True)
    assert (run.report.months, lake.films().count()) == ({"2026-07"}, 2)


def test_a_rebuild_refuses_to_lose_rows_whose_objects_are_gone(lake: TestLake) -> None:
    gone = lake.land(NOON)
    lake.land(NOON + timedelta(hours=1))
    lake.hourly()
    lake.s3.delete_object(Bucket=lake.landing, Key=gone)
    with pytest.raises(LandingIncomplete, match=gone):
        lake.rebuild("2026-11")
    assert lake.films().count() == 2
    assert lake.rebuild("2026-01").landed == 0


def test_without_films_nothing_is_written(lake: TestLake) -> None:
    lake.land(NOON)
    lake.clear()
    with pytest.raises(UnusableFilms, match="run film_category"):
        lake.hourly()
    assert lake.snapshots() == 0
