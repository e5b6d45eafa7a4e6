"""How the DAGs ask Athena: always in the lake's workgroup."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook

from datalake.names import CURATED_DATABASE
from lake_airflow.defaults import LAKE, poll_attempts, poll_seconds

_POLL = poll_seconds(30)

# Arguments of every AthenaOperator
ATHENA: dict[str, Any] = {
    "workgroup": LAKE.workgroup,
    "database": CURATED_DATABASE,
    "sleep_time": _POLL,
    "max_polling_attempts": poll_attempts(_POLL),
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
