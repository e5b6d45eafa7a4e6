"""Wait for the end of a DMS full load."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.hooks.dms import DmsHook
from airflow.sdk.exceptions import AirflowException

from lake_airflow.triggers.asking import AskingTrigger

IN_FLIGHT = ("starting", "running")
ENDED = ("stopped", "failed")


class DmsLoadTrigger(AskingTrigger):
    """Fires with the task's status when a load has ended that began after ``since``, and not at ``before``.

    Just after a start AWS may still show the state and the dates of the load ``before``: of an earlier run, or of this
    run's earlier try. Both times are ISO-8601. Without ``since`` it fires when no load is in progress.
    """

    @cached_property
    def _dms(self) -> DmsHook:
        return DmsHook()

    def ask(self, replication_task_id: str, since: str | None = None, before: str | None = None) -> str | None:
        """The task's status, once the load has ended."""
        task = describe(self._dms, replication_task_id)
        status: str = task["Status"]
        if since is None:
            return None if status in IN_FLIGHT else status
        is_of_the_load_before = before is not None and fresh_start(task) == datetime.fromisoformat(before)
        has_ended = status in ENDED and is_fresh(task, datetime.fromisoformat(since)) and not is_of_the_load_before
        return status if has_ended else None


def describe(hook: DmsHook, replication_task_id: str) -> dict[str, Any]:
    """The DMS task of this identifier (not its ARN); raises AirflowException unless there is exactly one."""
    _, tasks = hook.describe_replication_tasks(
        Filters=[{"Name": "replication-task-id", "Values": [replication_task_id]}], WithoutSettings=True
    )
    if len(tasks) != 1:
        raise AirflowException(f"DMS task {replication_task_id}: {len(tasks)} of that identifier, expected 1")
    task: dict[str, Any] = tasks[0]
    return task


def fresh_start(task: dict[str, Any]) -> datetime | None:
    """When the task's last fresh start or reload began (ReplicationTaskStats.FreshStartDate), if it ever did."""
    stats = task.get("ReplicationTaskStats") or {}
    started: datetime | None = stats.get("FreshStartDate") or task.get("ReplicationTaskStartDate")
    return started


def is_fresh(task: dict[str, Any], since: datetime) -> bool:
    """Whether the last load began at or after ``since``; to the second, as AWS may give whole seconds."""
    started = fresh_start(task)
    return started is not None and started.replace(microsecond=0) >= since.replace(microsecond=0)
