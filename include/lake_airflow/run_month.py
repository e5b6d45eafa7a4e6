"""The month of a DAG run: its partition key, or the parameter of a run that somebody started by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException
from dateutil.relativedelta import relativedelta

from datalake import months
from lake_airflow.new_events import landed_months

OFFERED = 6  # months, this one included


def offered_months(now: datetime) -> list[str]:
    """The months that a form offers, newest first. They follow from the calendar: docs/decisions/0021."""
    return [month.key for month in reversed(months.months_between(now - relativedelta(months=OFFERED - 1), now))]


def _month_param(description: str, **options: Any) -> Param:
    return Param(
        pattern=months.PATTERN,
        examples=offered_months(datetime.now(UTC)),
        title="Month",
        description=f"Arrival month, yyyy-MM. {description}",
        **options,
    )


# For a DAG with a schedule, whose parameters need defaults
MONTH_PARAM = _month_param(
    "It is only for a run without a partition key: the key takes precedence.", default=None, type=["null", "string"]
)
REQUIRED_MONTH_PARAM = _month_param("The newest are offered, and any other can be typed.", type="string")


def month_of_run(dag_run: Any, params: Any) -> str:
    """The key of the run's month, yyyy-MM.

    Raises:
        AirflowFailException: there is none, and the text names the months in which events have landed; or it is not a
            month.
    """
    given = dag_run.partition_key or params["month"]
    if not given:
        landed = ", ".join(month.key for month in landed_months(S3Hook())) or "none yet"
        raise AirflowFailException(
            f"Which month? Give the run a partition key or the parameter month, as yyyy-MM. With events: {landed}"
        )
    try:
        return months.Month.parse(given).key
    except ValueError as error:
        raise AirflowFailException(str(error)) from error
