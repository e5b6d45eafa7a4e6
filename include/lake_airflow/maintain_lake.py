"""Checks a run of ``maintain_lake``: it may change files, but no rows."""

from __future__ import annotations

import logging
from typing import Literal

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

from datalake.run_reports import MaintainLakeReport, TableMaintenance
from lake_airflow.run_reports import read_report

log = logging.getLogger(__name__)


def number_param(default: int, description: str) -> Param:
    """A parameter from 1 to 999, as a text, as Glue's job arguments are texts."""
    return Param(str(default), type="string", pattern="^[1-9][0-9]{0,2}$", description=description)


def check_row_counts(job_run_id: str) -> None:
    """Check that no commit of the run changed a table's number of rows; log what was done to each table.

    Raises:
        AirflowFailException: names tables, commits and rows.
    """
    report: MaintainLakeReport = read_report("maintain_lake", job_run_id)
    for table in report["tables"]:
        log.info("%s", sentence(table))
    rows_are_unchanged(report)


def rows_are_unchanged(report: MaintainLakeReport) -> None:
    """Raise AirflowFailException unless every commit that replaced files kept the number of rows."""
    changed = [
        f"{table['table']}, snapshot {commit['snapshot_id']}: {commit['rows_before']} rows -> {commit['rows_after']}"
        for table in report["tables"]
        for commit in table["commits"]
        if commit["rows_before"] != commit["rows_after"]
    ]
    if changed:
        raise AirflowFailException(f"Run {report['run_id']} changed the number of rows: {'; '.join(changed)}")


def sentence(table: TableMaintenance) -> str:
    """What was done to one table, as one line of the log."""
    before, after = table["before"], table["after"]
    sizes: tuple[Literal["files", "bytes", "snapshots"], ...] = ("files", "bytes", "snapshots")
    changes = ", ".join(f"{before[name]:,} -> {after[name]:,} {name}" for name in sizes)
    rows = ", ".join(f"{commit['rows_before']:,} -> {commit['rows_after']:,}" for commit in table["commits"])
    return f"{table['table']}: {changes}; {table['orphans_removed']:,} orphans removed; rows {rows or 'untouched'}"
