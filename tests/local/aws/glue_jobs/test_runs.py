"""Glue jobs with real spark-submits: definitions, states, limits, logs, rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws.glue_catalog import GlueCatalog
from local.aws.glue_jobs import GlueJobs
from local.engines.waiting import wait_until
from tests.local.aws.glue_jobs.jobs import GLUE, ICEBERG, descendants, ended, make_job, upload_jobs
from tests.support.aws_services import (
    Emulator,
    LakeServer,
    point_clients_at,
    running_emulator,
    running_server,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("home")) as running:
        upload_jobs(running)
        yield running


def short_minutes(services: Any) -> GlueJobs:
    return GlueJobs(services, minute_seconds=2.0)


@pytest.fixture(scope="module")
def lake(home: Emulator) -> Iterator[LakeServer]:
    with running_server(home, [GlueCatalog, short_minutes]) as running:
        yield running


@pytest.fixture
def job(lake: LakeServer, request: pytest.FixtureRequest) -> Callable[..., str]:
    return lambda **definition: make_job(lake, request.node.name, **definition)


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def messages(lake: LakeServer, group: str, stream: str) -> str:
    events = lake.emulator.client("logs").get_log_events(logGroupName=group, logStreamName=stream)["events"]
    return "\n".join(event["message"] for event in events)


@pytest.mark.spark
def test_a_job_reads_and_writes_under_its_role(lake: LakeServer, job: Callable[..., str]) -> None:
    name = job(
        script="spark.py",
        DefaultArguments={
            "--bucket": "job-bucket",
            "--mode": "hourly",
            "--datalake-formats": "iceberg",
            "--conf": ICEBERG,
            "--extra-py-files": "s3://job-bucket/jobs/greeting.zip",
            "--additional-python-modules": f"pyarrow=={version('pyarrow')}",
        },
    )
    glue = lake.client("glue")
    run_id = glue.start_job_run(JobName=name, Arguments={"--mode": "rebuild"})["JobRunId"]
    run = ended(glue, name, run_id)
    assert run["JobRunState"] == "SUCCEEDED", (lake.settings.logs / "glue" / f"{run_id}.log").read_text()
    assert run["CompletedOn"] > run["StartedOn"]
    assert run["ExecutionTime"] > 0
    assert "ErrorMessage" not in run
    output = messages(lake, "/aws-glue/jobs/output", run_id)
    assert "hello from the zip 2" in output
    for shown in (f"('--JOB_RUN_ID', '{run_id}')", "('--mode', 'rebuild')", f"('--JOB_NAME', '{name}')", "--TempDir"):
        assert shown in output
    assert "WARN" in messages(lake, "/aws-glue/jobs/error", run_id)  # Spark's own log
    combined = (lake.settings.logs / "glue" / f"{run_id}.log").read_text()
    assert "hello from the zip 2" in combined
    assert "to stderr" in combined
    table = glue.get_table(DatabaseName="curated", Name="events")["Table"]
    assert table["Parameters"]["table_type"] == "ICEBERG"
    assert not (lake.settings.data / "glue_jobs" / "work" / run_id).exists()


@pytest.mark.spark
def test_a_failed_run_has_the_error_message_that_glue_gives(lake: LakeServer, job: Callable[..., str]) -> None:
    glue = lake.client("glue")
    name = job()
    run = ended(glue, name, glue.start_job_run(JobName=name, Arguments={"--fail": "1"})["JobRunId"])
    assert (run["JobRunState"], run["ErrorMessage"]) == ("FAILED", "ValueError: boom: 7")
    assert glue.get_job_runs(JobName=name)["JobRuns"][0]["Id"] == run["Id"]


@pytest.mark.services
def test_what_cannot_start_fails_with_its_reason(lake: LakeServer, job: Callable[..., str]) -> None:
    glue = lake.client("glue")
    name = job(script="absent.py")
    run = ended(glue, name, glue.start_job_run(JobName=name)["JobRunId"])
    assert run["JobRunState"] == "FAILED"
    assert "s3://job-bucket/jobs/absent.py cannot be read under the job's role" in run["ErrorMessage"]
    modules = {"--additional-python-modules": "pandas==0.1"}
    run = ended(glue, name, glue.start_job_run(JobName=name, Arguments=modules)["JobRunId"])
    assert "pandas==0.1 (installed:" in run["ErrorMessage"]
    bookmarks = {"--job-bookmark-option": "job-bookmark-enable"}
    assert refused(glue.start_job_run, JobName=name, Arguments=bookmarks)[0] == "InvalidInputException"
    assert refused(glue.start_job_run, JobName="absent")[0] == "EntityNotFoundException"
    assert refused(glue.get_job_run, JobName=name, RunId="jr_1")[0] == "EntityNotFoundException"
    assert refused(glue.reset_job_bookmark, JobName=name)[0] == "UnknownOperationException"


@pytest.mark.services
def test_callers_are_authorised_on_the_job(lake: LakeServer, job: Callable[..., str]) -> None:
    name = job()
    grant = {"Effect": "Allow", "Action": "glue:GetJobRun", "Resource": f"{GLUE}:job/{name}"}
    glue = lake.session(lake.role("onlooker", grant)).client("glue", config=Config(retries={"max_attempts": 0}))
    code, message = refused(glue.start_job_run, JobName=name)
    assert code == "AccessDeniedException"
    assert f"glue:StartJobRun on resource: {GLUE}:job/{name}" in message
    assert refused(glue.get_job_run, JobName=name, RunId="jr_1")[0] == "EntityNotFoundException"


@pytest.mark.services
def test_definitions_keep_what_the_emulator_drops(lake: LakeServer, job: Callable[..., str]) -> None:
    glue = lake.client("glue")
    name = job(ExecutionProperty={"MaxConcurrentRuns": 3}, LogUri="s3://b/logs")
    kept = glue.get_job(JobName=name)["Job"]
    assert (kept["ExecutionProperty"], kept["LogUri"]) == ({"MaxConcurrentRuns": 3}, "s3://b/logs")
    glue.update_job(JobName=name, JobUpdate={"Role": kept["Role"], "Command": kept["Command"]})
    updated = glue.get_job(JobName=name)["Job"]
    assert updated["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
    assert updated["DefaultArguments"] == {}
    assert name in glue.list_jobs()["JobNames"]
    glue.delete_job(JobName=name)
    assert refused(glue.get_job, JobName=name)[0] == "EntityNotFoundException"


@pytest.mark.spark
def test_one_run_at_a_time_and_stop(lake: LakeServer, job: Callable[..., str]) -> None:
    glue = lake.client("glue", config=Config(retries={"max_attempts": 0}))
    name = job(DefaultArguments={"--seconds": "600"})
    run_id = glue.start_job_run(JobName=name)["JobRunId"]
    assert refused(glue.start_job_run, JobName=name)[0] == "ConcurrentRunsExceededException"
    wait_until(lambda: descendants(lake) != [], 60, "the run started no process")
    reply = glue.batch_stop_job_run(JobName=name, JobRunIds=[run_id, "jr_absent"])
    assert [stopped["JobRunId"] for stopped in reply["SuccessfulSubmissions"]] == [run_id]
    assert reply["Errors"][0]["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    assert ended(glue, name, run_id)["JobRunState"] == "STOPPED"
    assert descendants(lake) == []
    again = glue.batch_stop_job_run(JobName=name, JobRunIds=[run_id])
    assert again["Errors"][0]["ErrorDetail"]["ErrorMessage"] == f"Job run {run_id} is STOPPED"


@pytest.mark.spark
def test_a_run_ends_at_its_timeout(lake: LakeServer, job: Callable[..., str]) -> None:
    glue = lake.client("glue")
    name = job(DefaultArguments={"--seconds": "600"})
    run = ended(glue, name, glue.start_job_run(JobName=name, Timeout=3)["JobRunId"])  # minutes of two seconds
    assert run["JobRunState"] == "TIMEOUT"
    assert descendants(lake) == []


@pytest.mark.spark
def test_operator_shows_the_log_and_fails_with_the_job(
    lake: LakeServer,
    job: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from airflow.providers.amazon.aws.hooks.glue import GlueJobHook
    from airflow.providers.amazon.aws.operators.glue import GlueJobOperator

    point_clients_at(lake.settings, monkeypatch)
    name = job()
    run = GlueJobOperator(task_id="run", job_name=name, verbose=True, job_poll_interval=1)
    run_id = run.execute({"ti": MagicMock()})
    assert GlueJobHook(job_name=name).get_job_state(name, str(run_id)) == "SUCCEEDED"
    assert "asleep" in capfd.readouterr().out
    fail = GlueJobOperator(
        task_id="fail", job_name=name, verbose=True, job_poll_interval=1, script_args={"--fail": "1"}
    )
    with pytest.raises(Exception, match="FAILED"):
        fail.execute({"ti": MagicMock()})
