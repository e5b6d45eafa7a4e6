"""The month of a run: its partition key, or the parameter of a run that somebody started by hand."""

from __future__ import annotations

import re
from typing import Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

_MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"

MONTH_PARAM = Param(
    None,
    type=["null", "string"],
    pattern=_MONTH,
    title="Month",
    description="Arrival month, yyyy-MM. Only for a run without a partition key; the key wins.",
)


def choose_month(dag_run: Any, params: Any) -> str:
    """The run's month, yyyy-MM; raises AirflowFailException when it names none or no month."""
    month = dag_run.partition_key or params["month"]
    if not month:
        raise AirflowFailException("Which month? Give the run a partition key or the parameter month, as yyyy-MM")
    if not re.fullmatch(_MONTH, month):
        raise AirflowFailException(f"{month!r} is no month: give yyyy-MM")
    return str(month)
