"""Which runs the schedules make, and which month each run works on, asked of Airflow's own scheduling code."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
from pendulum import DateTime, instance

from lake_airflow import assets, month_timetable


def scheduled(dagbag: DagBag, dag_id: str) -> Any:
    """A DAG as the scheduler knows it."""
    return DagSerialization.from_dict(DagSerialization.to_dict(dagbag.dags[dag_id]))


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> DateTime:
    return instance(datetime(year, month, day, hour, minute, tzinfo=UTC))


@pytest.fixture
def last_day_of_november(monkeypatch: pytest.MonkeyPatch) -> None:
    """The present, for the timetable of months."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime(2026, 11, 30, 18, 0, tzinfo=tz)

    monkeypatch.setattr(month_timetable, "datetime", Clock)


def runs(dagbag: DagBag, dag_id: str, since: DateTime, count: int) -> list[Any]:
    """The next runs that the scheduler would make if it began at ``since``."""
    timetable = scheduled(dagbag, dag_id).timetable
    made: list[Any] = []
    for _ in range(count):
        restriction = TimeRestriction(earliest=since, latest=None, catchup=True)
        made.append(timetable.next_dagrun_info_v2(last_dagrun_info=made[-1] if made else None, restriction=restriction))
    return made


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (at(2026, 11, 1), [("2026-11-02T02:00", "2026-10"), ("2026-12-02T02:00", "2026-11")]),
        # The year's turn, and the moment after a tick
        (at(2026, 12, 2, 2, 1), [("2027-01-02T02:00", "2026-12"), ("2027-02-02T02:00", "2027-01")]),
    ],
)
def test_a_scheduled_rebuild_works_on_the_month_before(
    dagbag: DagBag, since: DateTime, expected: list[tuple[str, str]]
) -> None:
    made = runs(dagbag, "rebuild_streaming_films", since, 2)
    assert [(f"{run.run_after:%Y-%m-%dT%H:%M}", run.partition_key) for run in made] == expected


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        (at(2026, 8, 1), at(2026, 10, 31), ["2026-08", "2026-09", "2026-10"]),
        (at(2025, 12, 1), at(2026, 1, 31), ["2025-12", "2026-01"]),
        (at(2026, 2, 1), at(2026, 2, 28), ["2026-02"]),
        # A day of a month is enough, be it the first or the last.
        (at(2026, 8, 5), at(2026, 10, 1), ["2026-08", "2026-09", "2026-10"]),
        (at(2026, 8, 31), at(2026, 8, 31), ["2026-08"]),
        # The future has no events.
        (at(2026, 9, 30), at(2027, 3, 1), ["2026-09", "2026-10", "2026-11"]),
        (at(2026, 12, 1), at(2026, 12, 31), []),
    ],
)
@pytest.mark.usefixtures("last_day_of_november")
def test_a_backfill_works_on_every_month_that_its_dates_touch(
    dagbag: DagBag, first: DateTime, last: DateTime, months: list[str]
) -> None:
    made = list(scheduled(dagbag, "rebuild_streaming_films").iter_dagrun_infos_between(first, last))
    assert [run.partition_key for run in made] == months
    assert [f"{run.partition_date:%Y-%m-%dT%H:%M%z}" for run in made] == [f"{key}-01T00:00+0000" for key in months]


@pytest.mark.usefixtures("last_day_of_november")
def test_the_month_that_has_just_ended_is_scheduled_once_events_can_no_longer_arrive_late(dagbag: DagBag) -> None:
    [made] = runs(dagbag, "rebuild_streaming_films", at(2026, 11, 30), 1)
    assert (made.run_after, made.partition_date) == (at(2026, 12, 2, 2), at(2026, 11, 1))


def test_a_key_given_by_hand_means_its_month(dagbag: DagBag) -> None:
    dag = scheduled(dagbag, "rebuild_streaming_films")
    dag.validate_partition_key("2026-05")
    assert dag.timetable.resolve_partition_date("2026-05") == at(2026, 5, 1)


def test_hourly_runs_tick_each_hour_without_a_data_interval(dagbag: DagBag) -> None:
    made = runs(dagbag, "enrich_streaming_films", at(2026, 10, 31, 22, 30), 3)
    assert [f"{run.run_after:%d %H:%M}" for run in made] == ["31 23:05", "01 00:05", "01 01:05"]
    assert all(run.data_interval.start == run.data_interval.end for run in made)


def test_the_crawler_is_asked_for_each_hour(dagbag: DagBag) -> None:
    made = runs(dagbag, "crawl_streaming_events", at(2026, 11, 1), 2)
    assert [f"{run.run_after:%H:%M}" for run in made] == ["00:15", "01:15"]


def test_maintenance_ticks_when_no_hourly_run_does(dagbag: DagBag) -> None:
    made = runs(dagbag, "maintain_lake", at(2026, 10, 31), 2)
    assert [f"{run.run_after:%a %d %H:%M}" for run in made] == ["Sun 01 04:35", "Sun 08 04:35"]


def test_the_catalogue_is_replicated_daily_whether_or_not_it_was_loaded(dagbag: DagBag) -> None:
    made = runs(dagbag, "replicate_sakila", at(2026, 12, 31), 2)
    assert [f"{run.run_after:%d %H:%M}" for run in made] == ["31 01:20", "01 01:20"]


def test_assets_start_the_dags_downstream(dagbag: DagBag) -> None:
    def waits_for(dag_id: str) -> set[str]:
        condition = scheduled(dagbag, dag_id).timetable.asset_condition
        return {key.name for key, _ in condition.iter_assets()}

    assert waits_for("replicate_sakila") == {"mysql.sakila"}
    assert waits_for("curate_film_category") == {"sakila.film", "sakila.film_category", "sakila.category"}
    assert waits_for("report_film_popularity") == {assets.STREAMING_FILMS.name}


def test_the_report_runs_for_the_very_month_that_changed(dagbag: DagBag) -> None:
    timetable = scheduled(dagbag, "report_film_popularity").timetable
    assert timetable.partitioned
    mapper = timetable.get_partition_mapper(name=assets.STREAMING_FILMS.name, uri=assets.STREAMING_FILMS.uri)
    assert mapper.to_downstream("2026-11") == "2026-11"
