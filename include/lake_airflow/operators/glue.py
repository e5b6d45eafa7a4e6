"""The provider's Glue job operator, for jobs that the template defines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import quote

from airflow.providers.amazon.aws.links.glue import GlueJobRunDetailsLink
from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.providers.amazon.aws.triggers.glue import GlueJobCompleteTrigger
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk.exceptions import AirflowException

from lake_airflow import job_logs
from lake_airflow.notes import give_note
from lake_airflow.operators.time_left import time_left

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_glue import GlueClient

TASK_NAME = "--airflow_task_uuid"  # the provider's own argument for it
GOOD = ("STARTING", "RUNNING", "WAITING", "SUCCEEDED")  # states of a run that has succeeded or still may


class GlueJobRunOperator(GlueJobOperator):
    """Run an existing Glue job once and wait for its end, deferred; returns the job run's id.

    What it adds to the provider's operator, of which it uses the hook, the trigger and the link, but not the start of
    the job, which differs between the provider's versions here and on MWAA:

    * It never creates or changes the job; if the job does not exist, it raises an error that names it.
    * All attempts of a task share one run of the job, also when a worker was killed or a reply was lost just after the
      start. Therefore each run gets the name of its task as an argument, and a task looks for a run with its name
      before it starts one.
    * A cleared task runs the job again, as the name belongs to the attempts since the task was last cleared. With
      ``rerun_when_cleared=False`` it belongs to all attempts: a cleared task ends with the run that succeeded. This is
      for jobs that take only what is new, as another run of theirs would leave the tasks after it nothing to check.
    * If the job may not run twice at a time and is running (``ConcurrentRunsExceededException``), the task waits, also
      deferred, until its ``execution_timeout``. It does not wait for a run that is being stopped.
    * The task's log shows the last lines of the job's own log (``lake_airflow.job_logs``).
    * When the run fails, the error and the DAG run's note contain Glue's ErrorMessage.

    A run is not stopped when the task that started it is killed, which also happens when a scheduler or a worker is
    stopped or replaced: the next attempt waits for the same run. To end a run, stop it in Glue.
    """

    def __init__(self, *, rerun_when_cleared: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rerun_when_cleared = rerun_when_cleared

    def execute(self, context: Context, event: Any = None) -> NoReturn:  # noqa: ARG002
        """Start the job, or find the run that an earlier attempt has started, and defer until its end.

        ``event`` is given when the task has waited for another run of the job.
        """
        if not self.hook.has_job(self.job_name):
            raise AirflowException(f"Glue job {self.job_name} does not exist: deploy the template first")
        ti = context["ti"]
        # Clearing a task increases max_tries; a retry does not.
        tries = str(ti.max_tries) if self.rerun_when_cleared else "all"
        name = f"{ti.dag_id}:{ti.task_id}:{ti.run_id}:{ti.map_index}:{tries}"
        run_id = self._own_run(name, context["dag_run"].run_after) or self._start(name, context)
        GlueJobRunDetailsLink.persist(
            context=context,
            operator=self,
            region_name=self.hook.conn_region_name,
            aws_partition=self.hook.conn_partition,
            job_name=quote(self.job_name, safe=""),
            job_run_id=run_id,
        )
        trigger = GlueJobCompleteTrigger(
            job_name=self.job_name,
            run_id=run_id,
            waiter_delay=self.waiter_delay,
            waiter_max_attempts=self.waiter_max_attempts,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def _own_run(self, name: str, dag_run_began: datetime) -> str | None:
        """The run of this task's name that may still succeed, or has, if there is one."""
        pages = self._glue.get_paginator("get_job_runs").paginate(JobName=self.job_name)
        newest_first = (run for page in pages for run in page["JobRuns"])
        for run in takewhile(lambda run: run["StartedOn"] >= dag_run_began, newest_first):
            if run["JobRunState"] in GOOD and run.get("Arguments", {}).get(TASK_NAME) == name:
                self.log.info("Run %s was started by an earlier attempt", run["Id"])
                return run["Id"]
        return None

    def _start(self, name: str, context: Context) -> str:
        """Start the job, and return the run's id; defer when another run of it prevents that."""
        arguments = {**self.script_args, TASK_NAME: name}
        try:
            run_id = self._glue.start_job_run(JobName=self.job_name, Arguments=arguments)["JobRunId"]
        except self._glue.exceptions.ConcurrentRunsExceededException as error:
            if not time_left(context):
                raise AirflowException(f"Another run of {self.job_name} has not ended: stop it in Glue") from error
            self.log.info("Another run of %s is in progress: waiting for it", self.job_name)
            self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=self.waiter_delay)), method_name="execute")
        self.log.info("Started run %s of %s", run_id, self.job_name)
        return run_id

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> str:
        """Show what the job logged; raises AirflowException with Glue's ErrorMessage unless the run succeeded.

        ``event`` is that of the provider's GlueJobCompleteTrigger: ``run_id``, ``status`` and, of errors, ``message``.
        """
        if event is None:
            raise AirflowException("The trigger gave no event")
        run_id: str = event["run_id"]
        run = self._glue.get_job_run(JobName=self.job_name, RunId=run_id)["JobRun"]
        for line in job_logs.last_lines(self.hook.logs_hook.conn, run):
            self.log.info("%s", line)
        if run["JobRunState"] == "SUCCEEDED":
            return run_id
        message = run.get("ErrorMessage") or event.get("message") or "no error message"
        reason = f"Run {run_id} of {self.job_name}: {run['JobRunState']}: {message}"
        give_note(context["ti"], reason)
        raise AirflowException(reason)

    @property
    def _glue(self) -> GlueClient:
        return cast("GlueClient", self.hook.conn)
