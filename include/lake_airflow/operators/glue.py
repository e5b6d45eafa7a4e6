"""The provider's Glue job operator, for jobs that the template defines."""

from __future__ import annotations

import time
from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_glue import GlueClient


class GlueJobRunOperator(GlueJobOperator):
    """Run an existing Glue job once and wait for its end; returns the job run's id.

    What it adds to the provider's operator:

    * It never creates or changes the job; if the job does not exist, it raises an error that names it.
    * All attempts of a task share one run of the job. The provider stores the run's id only after the start, so a
      worker that is killed in between, or a lost reply, would leave an unknown run. Therefore each run gets the name
      of its task as an argument, and a task looks for a run with its name before it starts one.
    * A cleared task runs the job again. The provider's operator would find the stored id of the run that succeeded, and
      end at once. Therefore id and name belong to the attempts since the task was last cleared. With
      ``rerun_when_cleared=False`` they belong to all attempts: a cleared task ends with the run that succeeded. This is
      for jobs that take only what is new, as another run of theirs would leave the tasks after it nothing to check.
    * If the job may not run twice at a time and is running (``ConcurrentRunsExceededException``), the task waits, until
      its ``execution_timeout``. It does not wait for a run that is being stopped.
    * When the run fails, the error contains Glue's ErrorMessage.

    A run is not stopped when the task that started it is killed, which also happens when a scheduler or a worker is
    stopped or replaced: the next attempt waits for the same run. To end a run, stop it in Glue.
    """

    def __init__(self, *, rerun_when_cleared: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rerun_when_cleared = rerun_when_cleared

    def execute(self, context: Context) -> str | None:
        """Start the job, or find the run that an earlier attempt has started, and wait for its end."""
        ti = context["ti"]
        # Clearing a task increases max_tries; a retry does not.
        tries = str(ti.max_tries) if self.rerun_when_cleared else "all"
        self.external_id_key = f"{GlueJobOperator.external_id_key}_{tries}"
        name = f"{ti.dag_id}:{ti.task_id}:{ti.run_id}:{ti.map_index}:{tries}"
        self.script_args = {**self.script_args, self.TASK_UUID_ARG: name}
        self.dag_run_began = context["dag_run"].run_after
        return super().execute(context)

    def submit_job(self, context: Context) -> str:
        """Start the job when no other run of it prevents that, unless this task has a run already."""
        if not self.hook.has_job(self.job_name):
            raise AirflowException(f"Glue job {self.job_name} does not exist: deploy the template first")
        while True:
            if run_id := self._own_run():
                self.log.info("Run %s was started by an earlier attempt", run_id)
                self._set_job_run_id(context, run_id)
                return run_id
            try:
                return super().submit_job(context)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConcurrentRunsExceededException":
                    raise
                self.log.info("Another run of %s is in progress: waiting for it", self.job_name)
                time.sleep(self.job_poll_interval)

    def _own_run(self) -> str | None:
        """The run of this task's name that is in progress or has succeeded, if there is one."""
        pages = cast("GlueClient", self.hook.conn).get_paginator("get_job_runs").paginate(JobName=self.job_name)
        newest_first = (run for page in pages for run in page["JobRuns"])
        name = self.script_args[self.TASK_UUID_ARG]
        for run in takewhile(lambda run: run["StartedOn"] >= self.dag_run_began, newest_first):
            good = self.is_job_active(run["JobRunState"]) or run["JobRunState"] == "SUCCEEDED"
            if good and run.get("Arguments", {}).get(self.TASK_UUID_ARG) == name:
                return str(run["Id"])
        return None

    def is_job_active(self, status: str) -> bool:
        """Whether a run may still succeed; one that is being stopped cannot."""
        return status != "STOPPING" and super().is_job_active(status)

    def poll_until_complete(self, external_id: Any, context: Context) -> None:
        """Wait for the run's end; raises AirflowException with Glue's ErrorMessage unless it succeeded."""
        try:
            super().poll_until_complete(external_id, context)
        except AirflowException as error:
            run = cast("GlueClient", self.hook.conn).get_job_run(JobName=self.job_name, RunId=external_id)["JobRun"]
            message = run.get("ErrorMessage", "no error message")
            raise AirflowException(f"Run {external_id} of {self.job_name}: {run['JobRunState']}: {message}") from error
