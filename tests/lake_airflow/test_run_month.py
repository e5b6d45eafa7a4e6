from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

from datalake.months import Month
from lake_airflow import run_month
from lake_airflow.run_month import month_of_run, offered_months


@pytest.mark.parametrize(
    ("key", "parameter", "month"),
    [("2026-10", None, "2026-10"), (None, "2026-09", "2026-09"), ("2026-10", "2026-09", "2026-10")],
)
def test_the_key_wins_over_the_parameter(key: str | None, parameter: str | None, month: str) -> None:
    assert month_of_run(SimpleNamespace(partition_key=key), {"month": parameter}) == month


@pytest.mark.parametrize("key", ["2026-13", "2026-1", "2026-10-01", "unknown-unknown"])
def test_what_is_no_month_is_an_error(key: str) -> None:
    with pytest.raises(AirflowFailException, match="yyyy-MM"):
        month_of_run(SimpleNamespace(partition_key=key), {"month": None})


@pytest.mark.parametrize(
    ("landed", "named"), [(["2026-10", "2026-11"], "With events: 2026-10, 2026-11$"), ([], "With events: none yet$")]
)
@pytest.mark.parametrize("key", [None, ""])
def test_a_run_without_a_month_is_told_which_there_are(
    monkeypatch: pytest.MonkeyPatch, key: str | None, landed: list[str], named: str
) -> None:
    monkeypatch.setattr(run_month, "landed_months", lambda _: [Month.parse(month) for month in landed])
    with pytest.raises(AirflowFailException, match=named):
        month_of_run(SimpleNamespace(partition_key=key), {"month": None})


def test_the_newest_months_are_offered() -> None:
    newest = ["2027-02", "2027-01", "2026-12", "2026-11", "2026-10", "2026-09"]
    assert offered_months(datetime(2027, 2, 28, 23, 59, tzinfo=UTC)) == newest
    assert offered_months(datetime(2026, 8, 31, tzinfo=UTC))[-1] == "2026-03", "the 31st of March to the 31st of August"
