"""The provider's Glue job operator, held to jobs that the template owns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from airflow.sdk import Context


class GlueJobRunOperator(GlueJobOperator):
    """Run an existing Glue job once and wait for its end; returns the job run's id.

    What it adds to the provider's operator:

    * It never creates or changes the job; a job that does not exist is an error that names it.
    * A job that may run only once at a time and is running is waited for (``ConcurrentRunsExceededException``), until
      the task's ``execution_timeout``.
    * A cleared task runs the job again. The provider stores the run's id so that a retry after a lost worker finds its
      run; a cleared task would find it too, see it succeeded, and end without doing anything. So the id is forgotten
      once the run has succeeded.
    * When the run fails, the error holds Glue's own ErrorMessage.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stop_job_run_on_kill=True, **kwargs)

    def execute(self, context: Context) -> str | None:
        """Start the job, or find the run that an earlier attempt started, and wait for it."""
        run_id = super().execute(context)
        if store := context.get("task_state_store"):
            store.delete(self.external_id_key)
        return run_id

    def submit_job(self, context: Context) -> str:
        """Start the job as soon as no other run of it is in the way."""
        if not self.hook.has_job(self.job_name):
            raise AirflowException(f"Glue job {self.job_name} does not exist: deploy the template first")
        while True:
            try:
                return super().submit_job(context)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConcurrentRunsExceededException":
                    raise
                self.log.info("Another run of %s is in progress: waiting for it", self.job_name)
                time.sleep(self.job_poll_interval)

    def poll_until_complete(self, external_id: Any, context: Context) -> None:
        """Wait for the run's end; raises AirflowException with Glue's ErrorMessage unless it succeeded."""
        try:
            super().poll_until_complete(external_id, context)
        except AirflowException as error:
            run = self.hook.conn.get_job_run(JobName=self.job_name, RunId=external_id)["JobRun"]
            message = run.get("ErrorMessage", "no error message")
            raise AirflowException(f"Run {external_id} of {self.job_name}: {run['JobRunState']}: {message}") from error
