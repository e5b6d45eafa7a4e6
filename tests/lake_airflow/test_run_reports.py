from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from lake_airflow import run_reports
from lake_airflow.assets import STREAMING_FILMS

FILMS = {"job": "film_category", "run_id": "jr_1", "films": 1000, "categories": 16, "snapshot_id": 7}
LINES = {
    "job": "streaming_films",
    "run_id": "jr_1",
    "mode": "hourly",
    "months": ["2026-10", "2026-11"],
    "objects": 3,
    "landed": 100,
    "enriched": 90,
    "quarantined": 10,
    "duplicates": 4,
    "unknown_films": 2,
    "stale_months": [],
}


class Events(dict[Any, Any]):
    """Airflow's outlet_events for one asset."""

    def __init__(self) -> None:
        super().__init__({STREAMING_FILMS: self})
        self.months: list[str] = []

    def add_partitions(self, keys: list[str]) -> None:
        self.months += keys


@pytest.fixture
def announce(monkeypatch: pytest.MonkeyPatch) -> Any:
    def reconcile(**changes: Any) -> list[str]:
        monkeypatch.setattr(run_reports, "read_report", lambda *_: {**LINES, **changes})
        events = Events()
        run_reports.reconcile_lines("jr_1", events)
        return events.months

    return reconcile


def test_films_agree() -> None:
    assert run_reports.films_agree(FILMS, 1000) == "1000 films, 16 categories, snapshot 7"


@pytest.mark.parametrize(("reported", "counted"), [(999, 1000), (1001, 1000), (0, 0)])
def test_missing_doubled_and_no_films_fail(reported: int, counted: int) -> None:
    with pytest.raises(AirflowFailException, match=f"{reported} films .run jr_1., sakila.film {counted}"):
        run_reports.films_agree({**FILMS, "films": reported}, counted)


def test_lines_agree() -> None:
    assert run_reports.lines_agree(LINES) == (
        "100 lines landed, 90 enriched, 10 quarantined (4 of them duplicates), 2 of unknown films; "
        "3 objects; months 2026-10, 2026-11"
    )


@pytest.mark.parametrize(("enriched", "quarantined"), [(89, 10), (91, 10), (90, 9)])
def test_lost_and_doubled_lines_fail(enriched: int, quarantined: int) -> None:
    with pytest.raises(AirflowFailException, match=f"100 lines landed, {enriched} enriched, {quarantined} quarantined"):
        run_reports.lines_agree({**LINES, "enriched": enriched, "quarantined": quarantined})


def test_each_touched_month_is_announced(announce: Any) -> None:
    assert announce() == ["2026-10", "2026-11"]


def test_objects_outside_every_month_are_no_month(announce: Any) -> None:
    assert announce(months=["2026-11", "unknown-unknown"]) == ["2026-11"]


def test_a_run_that_touched_nothing_announces_nothing(announce: Any) -> None:
    with pytest.raises(AirflowSkipException):
        announce(months=[], landed=0, enriched=0, quarantined=0)


def test_what_does_not_add_up_is_not_announced(announce: Any) -> None:
    with pytest.raises(AirflowFailException):
        announce(enriched=1)
