"""What all DAGs of the lake share: its names, default arguments, tags, where SQL lies, how often to poll."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from airflow.sdk import RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision

from datalake.names import Lake

LAKE = Lake.from_environment()

# Before the oldest month anybody may rebuild: Airflow ends a run that lies before its DAG's start without any task.
START_DATE = datetime(2020, 1, 1, tzinfo=UTC)

# template_searchpath of the DAGs that query: a query is named by its file, query="tasks/count_films.sql"
SQL_PATH = str(Path(__file__).resolve().parent.parent / "sql" / "athena")


class FailFast(RetryPolicy):
    """Retries as the task says, except after an error that the next try would only pay for again."""

    FINAL = (
        "Bytes scanned limit was exceeded",  # Athena CANCELLED the query at the workgroup's limit; each try is billed
        "TooManyBadLines",  # the Glue job committed all it could and asks for a look at the quarantine
    )

    def evaluate(self, exception: BaseException, *_: Any, **__: Any) -> RetryDecision:
        """Fail at once when the error's text says so."""
        final = next((text for text in self.FINAL if text in str(exception)), None)
        return RetryDecision.fail(final) if final else RetryDecision.default()


DEFAULT_ARGS: dict[str, Any] = {
    "owner": "lake",
    # A service that was killed is back within half a minute; one that is down for longer gets more time.
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=1),
    "retry_policy": FailFast(),
    "execution_timeout": timedelta(hours=1),
}


class Tag(StrEnum):
    """The tags a DAG may carry; a test allows no other."""

    SAKILA = "sakila"  # works on the film company's own tables
    EVENTS = "events"  # works on the partners' streaming events
    INGESTION = "ingestion"  # brings data into the landing or clean zone
    CURATION = "curation"  # makes curated tables
    REPORTING = "reporting"  # answers questions


def poll_seconds(provider_default: int) -> int:
    """Seconds between two looks at a service: LAKE_POLL_SECONDS, or else what the provider's operator would take."""
    return int(os.environ.get("LAKE_POLL_SECONDS") or provider_default)


def poll_attempts(seconds_between: int) -> int:
    """Looks that fit in a task's execution_timeout, which shall decide, not the operators' own count of attempts."""
    timeout: timedelta = DEFAULT_ARGS["execution_timeout"]
    return max(1, int(timeout.total_seconds()) // seconds_between)


# Arguments of every GlueJobRunOperator: the provider polls with the one when it blocks, with the others when it defers.
GLUE_JOB: dict[str, Any] = {
    "job_poll_interval": poll_seconds(6),
    "waiter_delay": poll_seconds(60),
    "waiter_max_attempts": poll_attempts(poll_seconds(60)),
}
