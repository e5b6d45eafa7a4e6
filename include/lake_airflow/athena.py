"""Queries in Athena, all in the lake's workgroup."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from jinja2 import StrictUndefined, Template

from datalake.names import CURATED_DATABASE
from lake_airflow.defaults import LAKE, SQL_PATH, poll_attempts, poll_seconds
from lake_airflow.notices import tell_failure

if TYPE_CHECKING:
    from airflow.sdk import Context

_POLL = poll_seconds(30)
_log = logging.getLogger(__name__)


def log_scanned(context: Context) -> None:
    """Log what the query of a failed AthenaOperator has scanned, as a query that was cut off is billed, too."""
    task: Any = context["task"]
    query = task.query_execution_id
    if query:
        statistics = task.hook.get_query_info(query)["QueryExecution"].get("Statistics", {})
        _log.error("Query %s scanned %s bytes", query, f"{statistics.get('DataScannedInBytes', 0):,}")


# Arguments of every AthenaOperator of the lake
ATHENA: dict[str, Any] = {
    "workgroup": LAKE.workgroup,
    "database": CURATED_DATABASE,
    "sleep_time": _POLL,
    "max_polling_attempts": poll_attempts(_POLL),
    "on_failure_callback": [log_scanned, tell_failure],
}


def query_rows(athena: AthenaHook, query_execution_id: str) -> list[dict[str, str | None]]:
    """All rows of a SELECT that succeeded, each a dict of column name to text (None for NULL)."""
    paginator = athena.get_query_results_paginator(query_execution_id)
    if paginator is None:
        raise RuntimeError(f"Query {query_execution_id} has not succeeded")
    rows = [
        [cell.get("VarCharValue") for cell in row["Data"]] for page in paginator for row in page["ResultSet"]["Rows"]
    ]
    header, *values = rows  # Athena's first row holds the column names
    return [dict(zip(map(str, header), value, strict=True)) for value in values]


def run_query(athena: AthenaHook, file: str, **values: Any) -> list[dict[str, str | None]]:
    """Run a statement of ``include/sql/athena``, filled with ``values``; returns its rows as ``query_rows`` does.

    It is for queries that depend on what a task finds out; all others are tasks of their own (``SqlFileOperator``).

    Raises:
        RuntimeError: the query did not succeed; gives Athena's reason.
    """
    sql = Template((Path(SQL_PATH) / file).read_text(encoding="utf-8"), undefined=StrictUndefined).render(values)
    query = athena.run_query(sql, {"Database": CURATED_DATABASE}, {}, workgroup=LAKE.workgroup)
    state = athena.poll_query_status(query, sleep_time=_POLL)
    if state != "SUCCEEDED":
        raise RuntimeError(f"Query {query} ended {state}: {athena.get_state_change_reason(query)}")
    return query_rows(athena, query)
