from __future__ import annotations

import re

import pytest
from airflow.sdk.exceptions import AirflowFailException

from datalake.run_reports import TableMaintenance
from lake_airflow.maintain_lake import number_param, rows_are_unchanged, sentence


def upkeep(table: str, *commits: tuple[int, int]) -> TableMaintenance:
    """A table in the job's report, with rows before and after each commit."""
    return {
        "table": table,
        "before": {"files": 1200, "bytes": 5_000_000, "snapshots": 100},
        "after": {"files": 3, "bytes": 4_000_000, "snapshots": 30},
        "orphans_found": 2,
        "orphans_removed": 2,
        "commits": [
            {"snapshot_id": n, "rows_before": before, "rows_after": after} for n, (before, after) in enumerate(commits)
        ],
    }


def test_a_changed_number_of_rows_is_named() -> None:
    tables = [upkeep("curated.a"), upkeep("curated.b", (5, 5), (5, 4))]
    rows_are_unchanged({"job": "maintain_lake", "run_id": "jr_1", "tables": [tables[0], upkeep("curated.b", (5, 5))]})
    with pytest.raises(AirflowFailException, match=r"jr_1 .*: curated\.b, snapshot 1: 5 rows -> 4$"):
        rows_are_unchanged({"job": "maintain_lake", "run_id": "jr_1", "tables": tables})


def test_a_table_is_told_in_a_line() -> None:
    assert sentence(upkeep("curated.b", (5, 5))) == (
        "curated.b: 1,200 -> 3 files, 5,000,000 -> 4,000,000 bytes, 100 -> 30 snapshots; 2 orphans removed; rows 5 -> 5"
    )
    assert sentence(upkeep("curated.a")).endswith("rows untouched")


def test_a_parameter_is_a_number_of_one_or_more() -> None:
    pattern = number_param(7, "days").schema["pattern"]
    assert [text for text in ("1", "31", "0", "-1", "", "07", "1; drop") if re.search(pattern, text)] == ["1", "31"]
