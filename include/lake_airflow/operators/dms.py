"""Run a DMS full-load task, and check that all tables were loaded after the DAG run's start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

from airflow.providers.amazon.aws.hooks.dms import DmsHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException

from lake_airflow.operators.time_left import time_left
from lake_airflow.triggers.dms import IN_FLIGHT, DmsLoadTrigger, describe, fresh_start, is_fresh

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_dms import DatabaseMigrationServiceClient
    from mypy_boto3_dms.type_defs import TableStatisticsTypeDef


class DmsFullLoadOperator(AwsBaseOperator[DmsHook]):
    """Load every table of a full-load task again, wait, and check each table's statistics.

    The provider's operators need the task's ARN, which AWS assigns, and its sensor also accepts a task that stopped
    yesterday. This operator finds the task by its identifier, starts it (``start-replication`` the first time,
    ``reload-target`` afterwards, as the StartReplicationTask API demands), waits for the end of a load that began after
    the start of this DAG run, and returns what it loaded::

        {"started": "2026-11-23T05:00:00+00:00", "rows": {"actor": 200, ...}}

    A retry waits for a load that is in progress if it began after this DAG run did. Otherwise the task is started again
    when that load has ended, as it may have read data that the upstream task has replaced since.

    While it waits it is deferred and holds no worker's slot.

    ``replication_task_id`` is the task's identifier (not its ARN), ``poll_interval`` the seconds between two polls.
    """

    aws_hook_class = DmsHook
    template_fields: Sequence[str] = aws_template_fields("replication_task_id")

    def __init__(self, *, replication_task_id: str, poll_interval: float = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replication_task_id = replication_task_id
        self.poll_interval = poll_interval

    def execute(self, context: Context, event: str | None = None) -> None:  # noqa: ARG002
        """Start the load, unless this run has one in progress, and defer until it ends.

        ``event`` is given when the load of another run, which was in progress, has ended.
        """
        since = context["dag_run"].start_date
        if since is None:
            raise AirflowException("The DAG run has no start date to compare the load's start with")
        task, before = self._describe(), None
        is_in_flight = task["Status"] in IN_FLIGHT
        if is_in_flight and not is_fresh(task, since):
            self._defer(context, "execute")
        if not is_in_flight:
            before = fresh_start(task)
            self._start(task)
        self._defer(context, "check", since=since.isoformat(), before=before.isoformat() if before else None)

    def check(self, context: Context, event: str) -> dict[str, Any]:  # noqa: ARG002
        """Return the load's start and rows; raises AirflowException with the task or the tables that failed."""
        task = self._describe()
        dms = cast("DatabaseMigrationServiceClient", self.hook.conn)
        pages = dms.get_paginator("describe_table_statistics").paginate(ReplicationTaskArn=task["ReplicationTaskArn"])
        statistics = [table for page in pages for table in page["TableStatistics"]]
        if task["Status"] == "failed":
            reason = task.get("LastFailureMessage") or task.get("StopReason")
            tables = "; ".join(_incomplete(statistics)) or "none"
            raise AirflowException(f"DMS task {self.replication_task_id} failed: {reason} Tables not loaded: {tables}")
        rows = loaded_rows(statistics)
        started = fresh_start(task)
        self.log.info("Loaded %d rows of %d tables since %s", sum(rows.values()), len(rows), started)
        return {"started": started.isoformat() if started else None, "rows": rows}

    def _describe(self) -> dict[str, Any]:
        task = describe(self.hook, self.replication_task_id)
        self.log.info("DMS task %s is %s", self.replication_task_id, task["Status"])
        return task

    def _start(self, task: dict[str, Any]) -> None:
        kind = "start-replication" if task["Status"] == "ready" else "reload-target"
        self.log.info("Starting DMS task %s: %s", self.replication_task_id, kind)
        self.hook.start_replication_task(
            replication_task_arn=task["ReplicationTaskArn"], start_replication_task_type=kind
        )

    def _defer(self, context: Context, then: str, **question: str | None) -> NoReturn:
        trigger = DmsLoadTrigger(self.poll_interval, replication_task_id=self.replication_task_id, **question)
        self.defer(trigger=trigger, method_name=then, timeout=time_left(context))


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
