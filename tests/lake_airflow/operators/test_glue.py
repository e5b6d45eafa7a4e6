from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, TaskDeferred
from botocore.exceptions import ClientError

from lake_airflow import job_logs
from lake_airflow.notes import NOTE_KEY
from lake_airflow.operators.glue import GlueJobRunOperator
from tests.support.dag_services import Handler, client_error, run_task

NAME = "d:t:r:-1:2"  # of the task below, in its first tries
PAGE_RUNS = 200  # of GetJobRuns
OUTPUT, ERROR = "/aws-glue/jobs/output", "/aws-glue/jobs/error"
ENDS = {"RUNNING": "SUCCEEDED", "STOPPING": "STOPPED"}  # what becomes of a run that has not ended yet


class Glue:
    """One job that runs once at a time, each run of which has ended when looked at a second time.

    That look may be made to fail, as when a worker is lost; so may the reply to a start.
    """

    def __init__(self, aws_calls: dict[str, Handler]) -> None:
        self.state, self.message = "SUCCEEDED", ""  # of the runs started from now on
        self.runs: dict[str, str] = {}
        self.arguments: dict[str, dict[str, str]] = {}
        self.lost_worker: list[BaseException] = []
        self.lost_reply: list[BaseException] = []
        self.began = datetime.now(UTC)
        aws_calls["glue.GetJob"] = lambda _: {"Job": {"Name": "the-job"}}
        aws_calls["glue.StartJobRun"] = self._start
        aws_calls["glue.GetJobRun"] = self._get
        aws_calls["glue.GetJobRuns"] = self._list
        self.printed: dict[str, list[str]] = {OUTPUT: [], ERROR: []}
        self.log_error: ClientError | None = None
        aws_calls["logs.GetLogEvents"] = self._log

    def run(self, state: str, arguments: dict[str, str]) -> str:
        """A run in this state; its id."""
        run_id = f"jr_{len(self.runs) + 1}"
        self.runs[run_id], self.arguments[run_id] = state, arguments
        return run_id

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        if busy := [run_id for run_id, state in self.runs.items() if state in ENDS]:
            self._end(busy[0])
            raise client_error("ConcurrentRunsExceededException", "StartJobRun")
        run_id = self.run(self.state, request["Arguments"])
        if self.lost_reply:
            raise self.lost_reply.pop()
        return {"JobRunId": run_id}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        """Newest first, in pages."""
        listed = [
            {"Id": r, "JobRunState": state, "Arguments": self.arguments[r], "StartedOn": self.began}
            for r, state in self.runs.items()
        ]
        start = int(request.get("NextToken", 0))
        page = {"JobRuns": listed[::-1][start : start + PAGE_RUNS]}
        return page | ({"NextToken": str(start + PAGE_RUNS)} if start + PAGE_RUNS < len(listed) else {})

    def _end(self, run_id: str) -> None:
        self.runs[run_id] = ENDS.get(self.runs[run_id], self.runs[run_id])

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.lost_worker:
            raise self.lost_worker.pop()
        run_id = request["RunId"]
        run = {"Id": run_id, "JobRunState": self.runs[run_id], "ErrorMessage": self.message}
        self._end(run_id)
        return {"JobRun": {**run, "LogGroupName": "/aws-glue/jobs"}}

    def _log(self, request: dict[str, Any]) -> dict[str, Any]:
        """As CloudWatch: the newest events of those before the token, in the order of time, after an empty page."""
        if self.log_error:
            raise self.log_error
        assert request["logStreamName"] in self.runs
        lines = self.printed[request["logGroupName"]]
        token = request.get("nextToken")
        end = len(lines) if token is None else int(token)
        first = end if token is None else max(0, end - request["limit"] // 2)
        return {"events": [{"message": line} for line in lines[first:end]], "nextBackwardToken": str(first)}


@pytest.fixture
def glue(aws_calls: dict[str, Handler]) -> Glue:
    return Glue(aws_calls)


@pytest.fixture
def context() -> dict[str, Any]:
    xcom: dict[str, Any] = {}
    ti = SimpleNamespace(
        xcom_push=lambda key, value: xcom.update({key: value}),
        xcom_pull=lambda **_: None,
        start_date=datetime.now(UTC),
        stats_tags={},
        dag_id="d",
        task_id="t",
        run_id="r",
        map_index=-1,
        try_number=1,
        max_tries=2,
    )
    dag_run = SimpleNamespace(run_after=datetime.now(UTC) - timedelta(days=10))
    task = SimpleNamespace(execution_timeout=timedelta(hours=1))
    return {"ti": ti, "task_instance": ti, "task": task, "dag_run": dag_run, "xcom": xcom}


def clear(context: Any) -> None:
    """As Airflow clears a task: it may be tried as often as before, from its last try on."""
    ti = context["ti"]
    ti.max_tries, ti.try_number = ti.try_number + 2, ti.try_number + 1


def execute(context: Any, **options: Any) -> str | None:
    operator = GlueJobRunOperator(task_id="run", job_name="the-job", waiter_delay=0, **options)
    found: str | None = run_task(operator, context)
    return found


def test_a_run_is_started_and_its_id_returned(glue: Glue, context: Any) -> None:
    assert execute(context) == "jr_1"


def test_a_cleared_task_runs_the_job_again(glue: Glue, context: Any) -> None:
    """The provider's own operator would find the id of the run that succeeded and start nothing."""
    for expected in ("jr_1", "jr_2", "jr_3"):
        assert execute(context) == expected
        clear(context)


def test_a_cleared_task_of_a_job_that_takes_what_is_new_keeps_its_run(glue: Glue, context: Any) -> None:
    """Another run would take nothing, and what its first took would be neither reconciled nor judged."""
    assert execute(context, rerun_when_cleared=False) == "jr_1"
    for hour in range(300):  # runs of later hours, more than a page of Glue's
        glue.run("SUCCEEDED", {"--airflow_task_uuid": f"d:t:{hour}:-1:all"})
    clear(context)
    assert execute(context, rerun_when_cleared=False) == "jr_1"
    assert len(glue.runs) == 301


def test_a_cleared_task_of_a_job_that_failed_runs_it_again(glue: Glue, context: Any) -> None:
    glue.state = "FAILED"
    with pytest.raises(AirflowException):
        execute(context, rerun_when_cleared=False)
    clear(context)
    glue.state = "SUCCEEDED"
    assert execute(context, rerun_when_cleared=False) == "jr_2"


def test_runs_from_before_the_dag_run_are_not_looked_through(glue: Glue, context: Any) -> None:
    """Glue keeps 90 days of them."""
    glue.run("SUCCEEDED", {"--airflow_task_uuid": NAME})
    glue.began = context["dag_run"].run_after - timedelta(seconds=1)
    assert execute(context) == "jr_2"


def test_a_try_whose_success_was_never_reported_is_not_run_again(glue: Glue, context: Any) -> None:
    """The worker was killed after the job's end, or the API server was away."""
    assert execute(context) == "jr_1"
    context["ti"].try_number = 2
    assert execute(context) == "jr_1"
    assert list(glue.runs) == ["jr_1"]


def test_a_retry_after_a_lost_worker_finds_its_run(glue: Glue, context: Any) -> None:
    glue.lost_worker = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        execute(context)
    assert execute(context) == "jr_1"
    assert list(glue.runs) == ["jr_1"]


@pytest.mark.parametrize("died", [KeyboardInterrupt(), TimeoutError("the reply was lost")])
def test_a_run_whose_start_nobody_could_note_is_found_by_its_tasks_name(
    glue: Glue, context: Any, died: BaseException
) -> None:
    """Killed after Glue had started the run and before its id was stored."""
    glue.state, glue.lost_reply = "RUNNING", [died]
    with pytest.raises(type(died)):
        execute(context)
    assert execute(context) == "jr_1"
    assert glue.runs == {"jr_1": "SUCCEEDED"}


def test_another_tasks_run_is_waited_for_and_not_taken_for_ones_own(glue: Glue, context: Any) -> None:
    glue.run("RUNNING", {"--airflow_task_uuid": "d:t:another run:-1"})
    glue.run("STOPPED", {"--airflow_task_uuid": NAME})  # ended, of an earlier try
    assert execute(context) == "jr_3"
    assert glue.runs["jr_1"] == "SUCCEEDED"


def test_a_run_that_is_being_stopped_is_followed_by_another(glue: Glue, context: Any) -> None:
    """A task that is cleared while it runs stops its job run, and the next try comes before that has ended."""
    glue.run("STOPPING", {"--airflow_task_uuid": NAME})
    assert execute(context) == "jr_2"
    assert glue.runs == {"jr_1": "STOPPED", "jr_2": "SUCCEEDED"}


def test_a_retry_after_a_failed_run_starts_another(glue: Glue, context: Any) -> None:
    glue.state = "FAILED"
    with pytest.raises(AirflowException):
        execute(context)
    glue.state = "SUCCEEDED"
    assert execute(context) == "jr_2"


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "STOPPED", "ERROR"])
def test_a_failure_and_the_runs_note_say_what_glue_says(glue: Glue, context: Any, state: str) -> None:
    glue.state, glue.message = state, "ValueError: curated.film_category is empty"
    reason = f"Run jr_1 of the-job: {state}: ValueError: curated.film_category is empty"
    with pytest.raises(AirflowException, match=reason):
        execute(context)
    assert context["xcom"][NOTE_KEY] == reason


def test_another_run_that_does_not_end_is_waited_for_until_the_tasks_timeout(glue: Glue, context: Any) -> None:
    glue.run("RUNNING", {})
    context["task"].execution_timeout = timedelta(0)
    with pytest.raises(AirflowException, match="Another run of the-job has not ended"):
        execute(context)


def test_a_job_that_does_not_exist_is_named_and_not_made(
    aws_calls: dict[str, Handler], glue: Glue, context: Any
) -> None:
    def missing(_: dict[str, Any]) -> dict[str, Any]:
        raise client_error("EntityNotFoundException", "GetJob")

    def made(_: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("the template owns the jobs")

    aws_calls.update({"glue.GetJob": missing, "glue.CreateJob": made, "glue.UpdateJob": made})
    with pytest.raises(AirflowException, match="Glue job the-job does not exist"):
        execute(context)


def test_who_waits_is_deferred_also_where_airflow_does_not_defer_by_default(glue: Glue, context: Any) -> None:
    glue.run("RUNNING", {"--airflow_task_uuid": "d:t:another run:-1"})
    operator = GlueJobRunOperator(task_id="run", job_name="the-job", waiter_delay=1)
    with pytest.raises(TaskDeferred) as for_the_other:
        operator.execute(context)
    assert for_the_other.value.method_name == "execute"
    with pytest.raises(TaskDeferred) as for_its_own:
        operator.execute(context)
    assert for_its_own.value.trigger.waiter_args == {"JobName": "the-job", "RunId": "jr_2"}
    context["ti"].try_number = 2
    with pytest.raises(TaskDeferred) as again:
        operator.execute(context)
    assert again.value.trigger.waiter_args == for_its_own.value.trigger.waiter_args


def test_the_tasks_log_shows_what_the_job_printed_last(
    glue: Glue, context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    glue.printed = {OUTPUT: [f"INFO line {number}" for number in range(1000)], ERROR: ["a warning of Spark"]}
    execute(context)
    log = capsys.readouterr().out
    assert re.findall(r"INFO line \d+", log) == [f"INFO line {n}" for n in range(1000 - job_logs.LINES, 1000)]
    assert f"The last {job_logs.LINES} lines of {OUTPUT}, stream jr_1:" in log
    assert "a warning of Spark" not in log


def test_of_a_failed_job_it_shows_the_end_of_both_logs_and_no_more_than_that(
    glue: Glue, context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback is one event of several lines."""
    traceback = "Traceback (most recent call last):\n" + "\n".join(f"  line {n} " + "x" * 5000 for n in range(100))
    glue.state = "FAILED"
    glue.printed = {OUTPUT: ["INFO read 7 objects"], ERROR: ["WARN of Spark", traceback, "ValueError: no films"]}
    with pytest.raises(AirflowException):
        execute(context)
    log = capsys.readouterr().out
    assert "ValueError: no films" in log
    assert "INFO read 7 objects" in log
    assert "WARN of Spark" not in log
    assert len(log) < 100_000


def test_a_log_that_cannot_be_read_fails_nothing(glue: Glue, context: Any, capsys: pytest.CaptureFixture[str]) -> None:
    glue.log_error = client_error("ResourceNotFoundException", "GetLogEvents")
    assert execute(context) == "jr_1"
    assert f"The log {OUTPUT} of run jr_1 cannot be read: " in capsys.readouterr().out
