from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from datalake.run_reports import FilmCategoryReport, StreamingFilmsReport
from lake_airflow import run_reports
from lake_airflow.assets import STREAMING_FILMS
from lake_airflow.notes import NOTE_KEY

FILMS: FilmCategoryReport = {
    "job": "film_category",
    "run_id": "jr_1",
    "films": 1000,
    "categories": 16,
    "snapshot_id": 7,
}
LINES: StreamingFilmsReport = {
    "job": "streaming_films",
    "run_id": "jr_1",
    "mode": "hourly",
    "months": ["2026-10", "2026-11"],
    "objects": 3,
    "landed": 100,
    "enriched": 90,
    "quarantined": 6,
    "duplicates": 4,
    "unknown_films": 2,
    "reasons": {"not JSON": 6, "duplicate": 4},
    "unknown_fields": {},
    "vanished_fields": [],
    "stale_months": [],
    "film_category_snapshot": 7,
    "snapshot_id": 8,
    "too_many_bad": None,
}
COUNTED: dict[str, str | None] = {
    **{name: str(LINES[name]) for name in run_reports.COUNTS},
    "torn": "0",
    "torn_example": None,
}


class Task:
    """A task instance that keeps what is pushed."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class Events(dict[Any, Any]):
    """Airflow's outlet_events for one asset."""

    def __init__(self) -> None:
        super().__init__({STREAMING_FILMS: self})
        self.months: list[str] = []

    def add_partitions(self, keys: list[str]) -> None:
        self.months += keys


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture
def announce(monkeypatch: pytest.MonkeyPatch, task: Task) -> Any:
    def reconcile(counted: dict[str, str | None] = COUNTED, **changes: Any) -> list[str]:
        monkeypatch.setattr(run_reports, "read_report", lambda *_: {**LINES, **changes})
        monkeypatch.setattr(run_reports, "query_rows", lambda *_: [counted])
        events = Events()
        run_reports.reconcile_lines("jr_1", "query", task, events)
        return events.months

    return reconcile


def test_films_agree() -> None:
    assert run_reports.films_agree(FILMS, 1000) == "1000 films, 16 categories, snapshot 7"


@pytest.mark.parametrize(("reported", "counted"), [(999, 1000), (1001, 1000), (0, 0)])
def test_missing_doubled_and_no_films_fail(reported: int, counted: int) -> None:
    with pytest.raises(AirflowFailException, match=f"{reported} films .run jr_1., sakila.film {counted}"):
        run_reports.films_agree({**FILMS, "films": reported}, counted)


def test_lines_agree() -> None:
    assert run_reports.lines_agree(LINES, COUNTED) == (
        "landed 100 = enriched 90 + quarantined 6 + duplicates 4; unknown films: 2; drift: none; "
        "3 objects; months: 2026-10, 2026-11"
    )


def test_drift_is_named() -> None:
    report: StreamingFilmsReport = {
        **LINES,
        "unknown_fields": {"bitrate": 1200, "country": 3},
        "vanished_fields": ["event_id"],
    }
    assert "drift: unknown fields bitrate (1,200), country (3); vanished fields event_id;" in run_reports.summary(
        report
    )


@pytest.mark.parametrize("name", run_reports.COUNTS)
@pytest.mark.parametrize("change", [-1, 1])
def test_what_the_tables_hold_must_be_what_the_job_reported(name: run_reports.CountName, change: int) -> None:
    counted = {**COUNTED, name: str(LINES[name] + change)}
    with pytest.raises(AirflowFailException, match=f"{name} {LINES[name]}, in the tables {LINES[name] + change}"):
        run_reports.lines_agree(LINES, counted)


def test_one_object_that_does_not_add_up_fails_though_the_sums_do() -> None:
    """A line lost in one object and one doubled in another leave the sums as they are."""
    counted = {**COUNTED, "torn": "2", "torn_example": "streaming/2026/11/x"}
    with pytest.raises(AirflowFailException, match=r"2 objects do not add up, e.g. streaming/2026/11/x\. landed 100 ="):
        run_reports.lines_agree(LINES, counted)


def test_each_touched_month_is_announced_and_the_numbers_noted(announce: Any, task: Task) -> None:
    assert announce() == ["2026-10", "2026-11"]
    assert task.pushed == {NOTE_KEY: run_reports.summary(LINES)}


def test_objects_outside_every_month_are_no_month(announce: Any) -> None:
    assert announce(months=["2026-11", "unknown-unknown"]) == ["2026-11"]


def test_a_run_that_touched_nothing_announces_nothing(announce: Any) -> None:
    nothing: dict[str, Any] = dict.fromkeys(run_reports.COUNTS, 0)
    with pytest.raises(AirflowSkipException):
        announce({**COUNTED, **dict.fromkeys(nothing, "0")}, months=[], **nothing)


def test_lines_that_are_not_too_bad_pass(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    monkeypatch.setattr(run_reports, "read_report", lambda *_: LINES)
    assert run_reports.judge_lines("jr_1", task) == "6 of 100 lines are in quarantine: not too many"
    assert task.pushed == {}


def test_too_many_bad_lines_fail_with_their_reasons_and_months(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    verdict = "6 of 100 lines are bad, more than 5.0%: 6 not JSON"
    monkeypatch.setattr(run_reports, "read_report", lambda *_: {**LINES, "too_many_bad": verdict})
    with pytest.raises(AirflowFailException, match=f"{verdict}.* All good lines of 2026-10, 2026-11 are committed"):
        run_reports.judge_lines("jr_1", task)
    assert verdict in task.pushed[NOTE_KEY]


def test_what_does_not_add_up_is_noted_and_not_announced(announce: Any, task: Task) -> None:
    with pytest.raises(AirflowFailException):
        announce(enriched=1)
    assert "enriched 1 " in task.pushed[NOTE_KEY]
