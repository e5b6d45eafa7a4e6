"""What must be true of a run of ``maintain_lake``: it changed files, and no row."""

from __future__ import annotations

import logging
from typing import Literal

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

from datalake.run_reports import MaintainLakeReport, TableMaintenance
from lake_airflow.run_reports import read_report

log = logging.getLogger(__name__)


def number_param(default: int, description: str) -> Param:
    """A number of 1 to 999, as the text that Glue's arguments are."""
    return Param(str(default), type="string", pattern="^[1-9][0-9]{0,2}$", description=description)


def check_row_counts(job_run_id: str) -> None:
    """Prove that no commit of the run changed a table's number of rows, and log what was done to each table.

    Raises:
        AirflowFailException: naming tables, commits and rows.
    """
    report: MaintainLakeReport = read_report("maintain_lake", job_run_id)
    for table in report["tables"]:
        log.info("%s", sentence(table))
    rows_are_unchanged(report)


def rows_are_unchanged(report: MaintainLakeReport) -> None:
    """Every commit that replaced files left as many rows; raises AirflowFailException otherwise."""
    changed = [
        f"{table['table']}, snapshot {commit['snapshot_id']}: {commit['rows_before']} rows -> {commit['rows_after']}"
        for table in report["tables"]
        for commit in table["commits"]
        if commit["rows_before"] != commit["rows_after"]
    ]
    if changed:
        raise AirflowFailException(f"Run {report['run_id']} changed the number of rows: {'; '.join(changed)}")


def sentence(table: TableMaintenance) -> str:
    """What was done to one table, in one line."""
    before, after = table["before"], table["after"]
    sizes: tuple[Literal["files", "bytes", "snapshots"], ...] = ("files", "bytes", "snapshots")
    changes = ", ".join(f"{before[name]:,} -> {after[name]:,} {name}" for name in sizes)
    rows = ", ".join(f"{commit['rows_before']:,} -> {commit['rows_after']:,}" for commit in table["commits"])
    return f"{table['table']}: {changes}; {table['orphans_removed']:,} leftovers removed; rows {rows or 'untouched'}"
