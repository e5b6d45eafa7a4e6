"""What the DAGs share: resource names, default arguments, tags, the folder of SQL files, polling intervals."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from airflow.sdk import RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision
from airflow.utils.types import DagRunType

from datalake.names import Lake
from lake_airflow.notices import tell_failure, tell_killed

LAKE = Lake.from_environment()

# Before the oldest month that anybody may rebuild: Airflow runs no task of a run that lies before its DAG's start.
START_DATE = datetime(2020, 1, 1, tzinfo=UTC)

# template_searchpath of the DAGs that query Athena: a task names a file in it, query="tasks/count_films.sql"
SQL_PATH = str(Path(__file__).resolve().parent.parent / "sql" / "athena")


class FailFast(RetryPolicy):
    """Retries as the task says, except after an error that would cost money again and end the same way."""

    FINAL = (
        "Bytes scanned limit was exceeded",  # Athena cancelled the query at the workgroup's limit; attempts are billed
    )

    def evaluate(self, exception: BaseException, *_: Any, **__: Any) -> RetryDecision:
        """Fail at once when the error's text contains one of FINAL."""
        final = next((text for text in self.FINAL if text in str(exception)), None)
        return RetryDecision.fail(final) if final else RetryDecision.default()


DEFAULT_ARGS: dict[str, Any] = {
    "owner": "lake",
    # A service that was killed is usually back within half a minute; the second retry allows for a longer outage.
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=1),
    "retry_policy": FailFast(),
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": tell_failure,
}

# Arguments of every DAG
DAG_ARGS: dict[str, Any] = {
    "start_date": START_DATE,
    "catchup": False,
    "max_active_runs": 1,
    # Every kind of run but the backfill. Only a DAG whose runs differ by their month should be backfilled; three months
    # of an hourly DAG would be 2,200 runs, of which the first takes all that is new.
    "allowed_run_types": tuple(kind for kind in DagRunType if kind is not DagRunType.BACKFILL_JOB),
    "default_args": DEFAULT_ARGS,
    "on_failure_callback": tell_killed,
}


def manual(docstring: str | None) -> dict[str, Any]:
    """The arguments of a DAG that its file's docstring gives: the manual, and the manual's heading as description.

    Raises ValueError unless the docstring begins with a heading, ``### What the DAG does``.
    """
    heading = (docstring or "").partition("\n")[0]
    if not docstring or not heading.startswith("### "):
        raise ValueError(f"The docstring of a DAG's file begins with '### What the DAG does', not with {heading!r}")
    return {"doc_md": docstring, "description": heading.removeprefix("### ")}


class Tag(StrEnum):
    """The tags a DAG may carry; a test allows no other."""

    SAKILA = "sakila"  # works on the film company's own tables
    EVENTS = "events"  # works on the partners' streaming events
    INGESTION = "ingestion"  # brings data into the landing or clean zone
    CURATION = "curation"  # makes curated tables
    REPORTING = "reporting"  # answers questions


def poll_seconds(provider_default: int) -> int:
    """Seconds between two polls of a service: LAKE_POLL_SECONDS, or else the default of the provider's operator."""
    return int(os.environ.get("LAKE_POLL_SECONDS") or provider_default)


def poll_attempts(seconds_between: int) -> int:
    """The number of polls in a task's execution_timeout, so that this timeout ends the task and not a poll limit."""
    timeout: timedelta = DEFAULT_ARGS["execution_timeout"]
    return max(1, int(timeout.total_seconds()) // seconds_between)


# Arguments of every GlueJobRunOperator
GLUE_JOB: dict[str, Any] = {
    "waiter_delay": poll_seconds(60),
    "waiter_max_attempts": poll_attempts(poll_seconds(60)),
}
