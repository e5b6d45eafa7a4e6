"""Notices to people through the alarm topic: of a task that has given up, and of a run that is late."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.sts import StsHook
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from asgiref.sync import sync_to_async

from datalake.names import Lake

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

SUBJECT_LENGTH = 99  # Amazon SNS API Reference, Publish: "must be less than 100 characters long"
REASON_LENGTH = 4000
LATE_AFTER = timedelta(hours=2)
TOLD = "told"  # the XCom of a task that has told of its failure; it is cleared when the task starts again
KILLED = "the task ended without a word: its process was killed, its worker was lost, or somebody marked it as failed"
MANUAL = "What to do: 'When it fails' on the DAG's page in Airflow, and 'Notices of the DAGs' in docs/operations.md"


def tell_failure(context: Context) -> None:
    """Tell the alarm topic that a task has given up, as the task's on_failure_callback.

    Airflow calls it when no try is left, and not for the tasks after it (upstream_failed): in the task's process, when
    its state is settled. An error of this function is only logged. If that process is lost, Airflow calls it in the DAG
    processor, without an exception, or not at all: then ``tell_killed`` tells.
    """
    if context.get("exception"):
        context["ti"].xcom_push(key=TOLD, value=True)
        _tell_failure(context)


def tell_killed(context: Context) -> None:
    """Tell of the last task that made a run fail, unless it has told of itself, as the DAG's on_failure_callback.

    When a task's process is killed, for example as the machine is out of memory, Airflow 3.3 sets the task's state and
    calls no callback of it (``ActivitySubprocess.final_state``). This one is called in the DAG processor.
    """
    ti: Any = context.get("ti")
    if ti and not ti.xcom_pull(task_ids=ti.task_id, key=TOLD):
        _tell_failure(context)


def _tell_failure(context: Context) -> None:
    ti, dag_run = context["ti"], context["dag_run"]
    month = dag_run.partition_key or context["params"].get("month")
    reason = str(context.get("exception") or KILLED)
    lines = [
        f"DAG: {ti.dag_id}",
        f"Run: {ti.run_id}",
        *([f"Month: {month}"] if month else []),
        f"Task: {ti.task_id}, try {ti.try_number}",
        f"Reason: {reason if len(reason) <= REASON_LENGTH else reason[:REASON_LENGTH] + ' ...'}",
        MANUAL,
        f"Log: {ti.log_url}",
    ]
    # A call of the notifier would render the texts as templates, and a reason may contain braces.
    _notifier(f"{ti.dag_id} has failed in {ti.task_id}", lines).notify({})


async def tell_late(context: Mapping[str, Any]) -> None:
    """Tell the alarm topic that a run is late; the triggerer calls it when the run's deadline has passed.

    A run that has failed is not told of again.
    """
    run = context["dag_run"]
    if run["state"] == "failed":
        log.info("%s %s has failed, which its task has told", run["dag_id"], run["dag_run_id"])
        return
    lines = [
        f"DAG: {run['dag_id']}",
        f"Run: {run['dag_run_id']}",
        *([f"Month: {run['partition_key']}"] if run.get("partition_key") else []),
        f"Reason: it is still {run['state']}, two hours after it was queued. What it writes is not fresh",
        MANUAL,
    ]
    notifier = await sync_to_async(_notifier)(f"{run['dag_id']} is late", lines)
    await notifier.async_notify({})


# For DAGs whose tables others wait for. The interval is a number of seconds, a form that Airflow still reads from older
# versions: with a timedelta, Airflow 3.3.2 answers 500 when somebody clears a run whose deadline has not passed.
FRESHNESS = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=LATE_AFTER.total_seconds(),  # type: ignore[arg-type]
    callback=AsyncCallback(tell_late),
)


def _notifier(subject: str, lines: list[str]) -> SnsNotifier:
    """The provider's notifier with the topic's ARN, which is made when it is needed, as names.py keeps no ARN.

    GetCallerIdentity, which tells the account, needs no right (AWS STS API Reference).
    """
    lake, sts = Lake.from_environment(), StsHook()
    topic = f"arn:{sts.conn_partition}:sns:{sts.conn_region_name}:{sts.get_account_number()}:{lake.alarm_topic}"
    return SnsNotifier(target_arn=topic, subject=f"{lake.stack}: {subject}"[:SUBJECT_LENGTH], message="\n".join(lines))
