"""Run a DMS full-load task, and check that all tables were loaded after the DAG run's start."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.amazon.aws.hooks.dms import DmsHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_dms import DatabaseMigrationServiceClient
    from mypy_boto3_dms.type_defs import TableStatisticsTypeDef

IN_FLIGHT = ("starting", "running")
ENDED = ("stopped", "failed")


class DmsFullLoadOperator(AwsBaseOperator[DmsHook]):
    """Load every table of a full-load task again, wait, and check each table's statistics.

    The provider's operators need the task's ARN, which AWS assigns, and its sensor also accepts a task that stopped
    yesterday. This operator finds the task by its identifier, starts it (``start-replication`` the first time,
    ``reload-target`` afterwards, as the StartReplicationTask API demands), waits for the end of a load that began after
    the start of this DAG run, and returns what it loaded::

        {"started": "2026-11-23T05:00:00+00:00", "rows": {"actor": 200, ...}}

    A retry waits for a load that is in progress if it began after this DAG run did. Otherwise the task is started again
    when that load has ended, as it may have read data that the upstream task has replaced since.

    ``replication_task_id`` is the task's identifier (not its ARN), ``poll_interval`` the seconds between two polls.
    """

    aws_hook_class = DmsHook
    template_fields: Sequence[str] = aws_template_fields("replication_task_id")

    def __init__(self, *, replication_task_id: str, poll_interval: float = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replication_task_id = replication_task_id
        self.poll_interval = poll_interval

    def execute(self, context: Context) -> dict[str, Any]:
        """Load, and return start and rows; raises AirflowException with the task or the tables that failed."""
        since = context["dag_run"].start_date
        if since is None:
            raise AirflowException("The DAG run has no start date to compare the load's start with")
        task, before = self._describe(), None
        if not (task["Status"] in IN_FLIGHT and _is_fresh(task, since)):
            task = self._wait_while_in_flight(task)
            before = _fresh_start(task)
            self._start(task)
        task = self._wait_for_fresh_end(since, before)
        dms = cast("DatabaseMigrationServiceClient", self.hook.conn)
        pages = dms.get_paginator("describe_table_statistics").paginate(ReplicationTaskArn=task["ReplicationTaskArn"])
        statistics = [table for page in pages for table in page["TableStatistics"]]
        if task["Status"] == "failed":
            reason = task.get("LastFailureMessage") or task.get("StopReason")
            tables = "; ".join(_incomplete(statistics)) or "none"
            raise AirflowException(f"DMS task {self.replication_task_id} failed: {reason} Tables not loaded: {tables}")
        rows = loaded_rows(statistics)
        started = _fresh_start(task)
        self.log.info("Loaded %d rows of %d tables since %s", sum(rows.values()), len(rows), started)
        return {"started": started.isoformat() if started else None, "rows": rows}

    def _describe(self) -> dict[str, Any]:
        _, tasks = self.hook.describe_replication_tasks(
            Filters=[{"Name": "replication-task-id", "Values": [self.replication_task_id]}], WithoutSettings=True
        )
        if len(tasks) != 1:
            raise AirflowException(f"DMS task {self.replication_task_id}: {len(tasks)} of that identifier, expected 1")
        task: dict[str, Any] = tasks[0]
        self.log.info("DMS task %s is %s", self.replication_task_id, task["Status"])
        return task

    def _wait_while_in_flight(self, task: dict[str, Any]) -> dict[str, Any]:
        while task["Status"] in IN_FLIGHT:
            time.sleep(self.poll_interval)
            task = self._describe()
        return task

    def _start(self, task: dict[str, Any]) -> None:
        kind = "start-replication" if task["Status"] == "ready" else "reload-target"
        self.log.info("Starting DMS task %s: %s", self.replication_task_id, kind)
        self.hook.start_replication_task(
            replication_task_arn=task["ReplicationTaskArn"], start_replication_task_type=kind
        )

    def _wait_for_fresh_end(self, since: datetime, before: datetime | None) -> dict[str, Any]:
        # Just after a start AWS may still show the state and the dates of the load ``before``: of an earlier run, or
        # of this run's earlier try.
        while True:
            task = self._describe()
            if task["Status"] in ENDED and _is_fresh(task, since) and _fresh_start(task) != before:
                return task
            time.sleep(self.poll_interval)


def _fresh_start(task: dict[str, Any]) -> datetime | None:
    """When the task's last fresh start or reload began (ReplicationTaskStats.FreshStartDate), if it ever did."""
    stats = task.get("ReplicationTaskStats") or {}
    started: datetime | None = stats.get("FreshStartDate") or task.get("ReplicationTaskStartDate")
    return started


def _is_fresh(task: dict[str, Any], since: datetime) -> bool:
    """Whether the last load began at or after ``since``; to the second, as AWS may give whole seconds."""
    started = _fresh_start(task)
    return started is not None and started.replace(microsecond=0) >= since.replace(microsecond=0)


def loaded_rows(statistics: Sequence[TableStatisticsTypeDef]) -> dict[str, int]:
    """Loaded rows by table name; raises AirflowException with every table that is not complete.

    ``statistics`` are the entries of DescribeTableStatistics. DMS ends a task as ``stopped`` even if it skipped rows or
    suspended tables, so only the tables' states and error counts show whether they were loaded.
    """
    wrong = _incomplete(statistics)
    if wrong or not statistics:
        raise AirflowException("DMS did not load every table: " + ("; ".join(wrong) or "it reports no table at all"))
    return {table["TableName"]: int(table["FullLoadRows"]) for table in statistics}


def _incomplete(statistics: Sequence[TableStatisticsTypeDef]) -> list[str]:
    """Each table that is not completely loaded, with its state and errors."""
    return [
        f"{table['TableName']}: {table.get('TableState')}, {table.get('FullLoadErrorRows', 0)} rows in error"
        for table in statistics
        if table.get("TableState") != "Table completed" or table.get("FullLoadErrorRows", 0)
    ]
