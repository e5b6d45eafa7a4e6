"""The provider's Glue job operator, held to jobs that the template owns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_glue import GlueClient

RECENT_RUNS = 50  # that are searched for one of this task's own; Glue gives the newest first


class GlueJobRunOperator(GlueJobOperator):
    """Run an existing Glue job once and wait for its end; returns the job run's id.

    What it adds to the provider's operator:

    * It never creates or changes the job; a job that does not exist is an error that names it.
    * One run of the job, however many tries it takes to see its end. The provider stores a run's id after the start:
      a worker killed in between, or a lost reply, would leave a run that nobody knows. So every run bears the name of
      its task as an argument, and a task looks for a run of its name before it starts one.
    * A cleared task runs the job again. The provider's own would find the stored id, see that the run succeeded, and
      end without doing anything. So the id and the name are those of the tries since the task was last cleared.
    * A job that may run only once at a time and is running is waited for (``ConcurrentRunsExceededException``), until
      the task's ``execution_timeout``. A run that somebody is stopping is not waited for in vain.
    * When the run fails, the error holds Glue's own ErrorMessage.

    A job's run outlives the task that started it: a task is also killed when a scheduler or a worker is stopped or
    replaced, and its next try goes on where it was. Whoever wants a run to end stops it in Glue.
    """

    def execute(self, context: Context) -> str | None:
        """Start the job, or find the run that an earlier try started, and wait for it."""
        ti = context["ti"]
        # What clearing a task changes and a retry does not: the last try that it may make
        self.external_id_key = f"{GlueJobOperator.external_id_key}_{ti.max_tries}"
        name = f"{ti.dag_id}:{ti.task_id}:{ti.run_id}:{ti.map_index}:{ti.max_tries}"
        self.script_args = {**self.script_args, self.TASK_UUID_ARG: name}
        return super().execute(context)

    def submit_job(self, context: Context) -> str:
        """Start the job as soon as no other run of it is in the way, unless this very task has a run already."""
        if not self.hook.has_job(self.job_name):
            raise AirflowException(f"Glue job {self.job_name} does not exist: deploy the template first")
        while True:
            if run_id := self._own_run():
                self.log.info("Run %s was started by an earlier try", run_id)
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
        runs = cast("GlueClient", self.hook.conn).get_job_runs(JobName=self.job_name, MaxResults=RECENT_RUNS)["JobRuns"]
        name = self.script_args[self.TASK_UUID_ARG]
        own = [run for run in runs if run.get("Arguments", {}).get(self.TASK_UUID_ARG) == name]
        good = (run for run in own if self.is_job_active(run["JobRunState"]) or run["JobRunState"] == "SUCCEEDED")
        return next((str(run["Id"]) for run in good), None)

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
