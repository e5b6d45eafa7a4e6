"""How long a deferred task may still wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context


def time_left(context: Context, limit: timedelta | None = None) -> timedelta:
    """What is left of ``limit``, counted from the start of the task's try; by default of its ``execution_timeout``.

    Airflow applies ``execution_timeout`` to a task's time in a worker only, so a task passes this on when it defers.
    """
    limit = limit or context["task"].execution_timeout
    if limit is None:
        raise ValueError(f"Task {context['ti'].task_id} has no execution_timeout")
    return max(context["ti"].start_date + limit - datetime.now(UTC), timedelta(0))
