"""Run a DMS full-load task and prove that what it loaded is fresh."""

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
    """Load every table of a full-load task afresh, wait, and check each table's statistics.

    The provider's operators take the task's ARN, which nobody but AWS chooses, and its sensor is content with a task
    that stopped yesterday. This operator finds the task by its identifier, starts it (``start-replication`` the first
    time, ``reload-target`` afterwards, as the StartReplicationTask API asks), waits until a load that began after this
    DAG run's own start has ended, and returns what it loaded::

        {"started": "2026-11-23T05:00:00+00:00", "rows": {"actor": 200, ...}}

    A retry joins a load that is in flight and began after this run did; any other load in flight is waited for, and
    then the task is started again, for it may have read what this run's upstream has replaced since.

    ``replication_task_id`` is the task's identifier (not its ARN), ``poll_interval`` the seconds between two looks.
    """

    aws_hook_class = DmsHook
    template_fields: Sequence[str] = aws_template_fields("replication_task_id")

    def __init__(self, *, replication_task_id: str, poll_interval: float = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replication_task_id = replication_task_id
        self.poll_interval = poll_interval

    def execute(self, context: Context) -> dict[str, Any]:
        """Load and return start and rows; raises AirflowException naming the task or the tables that failed."""
        since = context["dag_run"].start_date
        if since is None:
            raise AirflowException("The DAG run has no start date, so no load can be proved to be fresh")
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
    """Rows loaded by table name; raises AirflowException naming every table that is not complete.

    ``statistics`` are DescribeTableStatistics' entries. DMS ends a task as ``stopped`` even when it skipped rows or
    suspended tables, so states and error counts are what tells.
    """
    wrong = _incomplete(statistics)
    if wrong or not statistics:
        raise AirflowException("DMS did not load every table: " + ("; ".join(wrong) or "it reports no table at all"))
    return {table["TableName"]: int(table["FullLoadRows"]) for table in statistics}


def _incomplete(statistics: Sequence[TableStatisticsTypeDef]) -> list[str]:
    """Each table that is not loaded whole, with what DMS says of it."""
    return [
        f"{table['TableName']}: {table.get('TableState')}, {table.get('FullLoadErrorRows', 0)} rows in error"
        for table in statistics
        if table.get("TableState") != "Table completed" or table.get("FullLoadErrorRows", 0)
    ]
