"""The month of a DAG run: its partition key, or the parameter of a run that somebody started by hand."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

from datalake import months

MONTH_PARAM = Param(
    None,
    type=["null", "string"],
    pattern=months.PATTERN,
    title="Month",
    description="Arrival month, yyyy-MM. It is only for a run without a partition key: the key takes precedence.",
)


def month_of_run(dag_run: Any, params: Any) -> str:
    """The key of the run's month, yyyy-MM; raises AirflowFailException when there is none or it is not a month."""
    given = dag_run.partition_key or params["month"]
    if not given:
        raise AirflowFailException("Which month? Give the run a partition key or the parameter month, as yyyy-MM")
    try:
        return months.Month.parse(given).key
    except ValueError as error:
        raise AirflowFailException(str(error)) from error
