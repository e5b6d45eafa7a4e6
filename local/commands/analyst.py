"""Athena as an analyst uses it: statements in the workgroup, their rows as a table, and what they cost."""

from __future__ import annotations

import re
import time
from typing import Any

import boto3
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datalake.names import CURATED_DATABASE, Lake
from local.supervision.control import HomeError

DOLLARS_PER_TERABYTE, BILLED_AT_LEAST = 5.0, 10_000_000  # Athena bills at least 10 MB a query
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
DML = "DML"  # statements whose results are CSV with a header row, and which are billed
Rows = list[list[str | None]]


class Analyst:
    """The analysts' workgroup of a lake, with the database ``curated``."""

    def __init__(self, session: boto3.Session, lake: Lake) -> None:
        self._athena = session.client("athena")
        self._workgroup = lake.workgroup

    def named(self, name: str) -> str:
        """SQL of a saved query of the workgroup; raises HomeError."""
        pages = self._athena.get_paginator("list_named_queries").paginate(WorkGroup=self._workgroup)
        ids = [i for page in pages for i in page["NamedQueryIds"]]
        found = self._athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"] if ids else []
        for query in found:
            if query["Name"] == name:
                return str(query["QueryString"])
        raise HomeError(f"the workgroup {self._workgroup} has no saved query {name}: {[q['Name'] for q in found]}")

    def execute(self, sql: str) -> dict[str, Any]:
        """Run a statement to its end; returns Athena's QueryExecution.

        Raises HomeError with Athena's own reason. An interrupted statement is cancelled, because what it reads is
        billed.
        """
        started = self._athena.start_query_execution(
            QueryString=sql, WorkGroup=self._workgroup, QueryExecutionContext={"Database": CURATED_DATABASE}
        )["QueryExecutionId"]
        try:
            while True:
                execution: dict[str, Any] = dict(
                    self._athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
                )
                if (state := execution["Status"]["State"]) in ENDED:
                    break
                time.sleep(0.1)
        except KeyboardInterrupt:
            self._athena.stop_query_execution(QueryExecutionId=started)
            raise
        if state != "SUCCEEDED":
            raise HomeError(execution["Status"].get("StateChangeReason") or f"the statement ended {state}")
        return execution

    def answer(self, execution: dict[str, Any], at_most: int | None = None) -> tuple[list[str], Rows]:
        """Column names and rows (text) of a statement that succeeded, or only its first ``at_most`` rows."""
        pages = self._athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution["QueryExecutionId"])
        columns: list[str] = []
        header = 1 if execution["StatementType"] == DML else 0
        rows: Rows = []
        for page in pages:
            columns = [one["Label"] for one in page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]]
            rows += [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
            if at_most is not None and len(rows) >= header + at_most:
                break
        return columns, rows[header:][:at_most]


def scanned(execution: dict[str, Any]) -> int:
    """Bytes that a statement has read."""
    return int(execution["Statistics"].get("DataScannedInBytes", 0))


def seconds(execution: dict[str, Any]) -> float:
    """How long a statement took, with its time in the queue."""
    return float(execution["Statistics"]["TotalExecutionTimeInMillis"] / 1000)


def dollars(execution: dict[str, Any]) -> float:
    """What Athena bills for a statement: DDL and the like are free."""
    billed = max(scanned(execution), BILLED_AT_LEAST) if execution["StatementType"] == DML else 0
    return billed / 1e12 * DOLLARS_PER_TERABYTE


def show(console: Console, title: str, columns: list[str], rows: Rows) -> None:
    """One result table; numbers stand to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows = [_divided(row, len(columns)) for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(re.fullmatch(r"[\d.,]+", row[index] or "") for row in rows)
        table.add_column(Text(column), justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*[Text(cell or "") for cell in row])
    console.print(f"\n[bold]{title}[/]" if title else "", table, sep="\n", highlight=False)


def _divided(row: list[str | None], columns: int) -> list[str | None]:
    """A row with a cell for each column: DESCRIBE and its like have the fields of a row in one cell, between tabs."""
    if len(row) == columns:
        return row
    fields: list[str | None] = [field.strip() for field in (row[0] or "").split("\t")]
    return [*fields, *[""] * columns][:columns]
