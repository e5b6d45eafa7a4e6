from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

from lake_airflow.run_month import month_of_run


@pytest.mark.parametrize(
    ("key", "parameter", "month"),
    [("2026-10", None, "2026-10"), (None, "2026-09", "2026-09"), ("2026-10", "2026-09", "2026-10")],
)
def test_the_key_wins_over_the_parameter(key: str | None, parameter: str | None, month: str) -> None:
    assert month_of_run(SimpleNamespace(partition_key=key), {"month": parameter}) == month


@pytest.mark.parametrize("key", [None, "", "2026-13", "2026-1", "2026-10-01", "unknown-unknown"])
def test_no_month_is_an_error(key: str | None) -> None:
    with pytest.raises(AirflowFailException, match="yyyy-MM"):
        month_of_run(SimpleNamespace(partition_key=key), {"month": None})
