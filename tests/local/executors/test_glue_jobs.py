"""Glue jobs: arguments, states, limits, logs, renewal and restarts, with real spark-submits."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.executors.glue_catalog import GlueCatalog
from local.executors.glue_jobs import GlueJobs
from local.executors.glue_jobs import arguments as args
from local.executors.glue_jobs.logs import last_error
from local.executors.protocol import AwsError
from local.settings import ACCOUNT, REGION, ROOT
from tests.services import Emulator, LakeServer, answers, root_client, running_emulator, running_server, wait_until

ENDED = {"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT"}


def test_the_chained_conf_is_taken_apart() -> None:
    assert args.spark_settings({"--conf": "a.b=c=d --conf  e.f=g h   --conf i=j"}) == {
        "a.b": "c=d",
        "e.f": "g h",
        "i": "j",
    }
    assert args.spark_settings({}) == {}
    with pytest.raises(AwsError, match="no name=value"):
        args.spark_settings({"--conf": "a"})


def test_a_runs_arguments_override_the_jobs_except_those_that_cannot_be() -> None:
    job = {"DefaultArguments": {"--a": "1", "--b": "2", "--c": "3"}, "NonOverridableArguments": {"--c": "fixed"}}
    assert args.merged(job, {"--b": "given", "--c": "given"}) == {"--a": "1", "--b": "given", "--c": "fixed"}


def test_the_script_gets_only_its_own_arguments() -> None:
    given = {"--JOB_NAME": "j", "--conf": "a=b", "--enable-metrics": "true", "--mode": "hourly"}
    assert args.for_script(given) == ["--JOB_NAME", "j", "--mode", "hourly"]


@pytest.mark.parametrize(
    "refused",
    [
        {"--job-bookmark-option": "job-bookmark-enable"},
        {"--extra-jars": "s3://b/x.jar"},
        {"--enable-glue-datacatalog": "true"},
        {"--datalake-formats": "iceberg,hudi"},
    ],
)
def test_what_would_be_ignored_is_refused(refused: dict[str, str]) -> None:
    with pytest.raises(AwsError, match=next(iter(refused))):
        args.check(refused)


def test_python_modules_are_checked_against_what_is_installed() -> None:
    here = f"pyarrow=={version('pyarrow')}"
    assert args.missing_modules({"--additional-python-modules": f"{here}, pandas>=1"}) == []
    wrong = args.missing_modules({"--additional-python-modules": f"{here},pandas==0.1,nothing==1,s3://b/x.whl"})
    assert [text.partition(" ")[0] for text in wrong] == ["pandas==0.1", "nothing==1", "s3://b/x.whl"]


def test_the_last_exception_is_shown_without_its_module() -> None:
    printed = textwrap.dedent("""\
        Traceback (most recent call last):
          File "a.py", line 1, in <module>
        KeyError: 'first'

        During handling of the above exception, another exception occurred:

        Traceback (most recent call last):
          File "a.py", line 3, in <module>
            read()
        pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] s3://x.
        26/11/23 WARN ShutdownHook: bye
    """)
    assert last_error(printed) == "AnalysisException: [PATH_NOT_FOUND] s3://x."
    assert last_error("no traceback") == ""
    assert last_error("Traceback (most recent call last):\n  File\nKeyboardInterrupt\n") == "KeyboardInterrupt"


# ---- with real runs

spark = pytest.mark.spark
SCRIPT = """
import sys, time
from greeting import GREETING
from pyspark.sql import SparkSession

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("arguments", sorted(arguments.items()))
session = SparkSession.builder.getOrCreate()
events = session.read.json(f"s3://{arguments['--bucket']}/in/")
table = "glue_catalog.curated.events"
session.sql(f"create table if not exists {table} (a bigint) using iceberg location 's3://{arguments['--bucket']}/t'")
events.writeTo(table).append()
print(GREETING, session.table(table).count(), flush=True)
print("to stderr", file=sys.stderr)
"""
SLEEPER = """
import sys, time, pathlib
print("asleep", flush=True)
time.sleep(float(sys.argv[sys.argv.index("--seconds") + 1]))
if "--fail" in sys.argv:
    raise ValueError("boom: 7")
"""
ICEBERG = " --conf ".join(
    [
        "spark.sql.extensions=org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.glue_catalog=org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.glue_catalog.catalog-impl=org.apache.iceberg.aws.glue.GlueCatalog",
        "spark.sql.catalog.glue_catalog.io-impl=org.apache.iceberg.aws.s3.S3FileIO",
        "spark.sql.catalog.glue_catalog.warehouse=s3://job-bucket/",
    ]
)
LOGS = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws-glue/jobs/*",
}
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
DATA = [
    {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
        "Resource": "arn:aws:s3:::job-bucket/*",
    },
    {
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
        "Resource": "arn:aws:s3:::job-bucket",
    },
    {
        "Effect": "Allow",
        "Action": ["glue:GetDatabase", "glue:GetTable", "glue:CreateTable", "glue:UpdateTable"],
        "Resource": [f"{GLUE}:catalog", f"{GLUE}:database/curated", f"{GLUE}:table/curated/*"],
    },
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("home")) as running:
        furnish(running)
        yield running


def furnish(emulator: Emulator) -> None:
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="job-bucket")
    s3.put_object(Bucket="job-bucket", Key="in/events", Body=b'{"a":1}\n{"a":2}\n')
    s3.put_object(Bucket="job-bucket", Key="jobs/spark.py", Body=SCRIPT.encode())
    s3.put_object(Bucket="job-bucket", Key="jobs/sleeper.py", Body=SLEEPER.encode())
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("greeting.py", "GREETING = 'hello from the zip'\n")
    s3.put_object(Bucket="job-bucket", Key="jobs/greeting.zip", Body=package.getvalue())
    emulator.client("glue").create_database(DatabaseInput={"Name": "curated"})


def short_minutes(services: Any) -> GlueJobs:
    return GlueJobs(services, minute=2.0)


@pytest.fixture(scope="module")
def lake(home: Emulator) -> Iterator[LakeServer]:
    with running_server(home, [GlueCatalog, short_minutes]) as running:
        yield running


@pytest.fixture
def job(lake: LakeServer, request: pytest.FixtureRequest) -> Callable[..., str]:
    return lambda **definition: make_job(lake, request.node.name, **definition)


def make_job(lake: LakeServer, name: str, script: str = "sleeper.py", **definition: Any) -> str:
    role = lake.role("job-role", LOGS, *DATA)
    lake.client("glue").create_job(
        Name=name,
        Role=role,
        Command={"Name": "glueetl", "ScriptLocation": f"s3://job-bucket/jobs/{script}", "PythonVersion": "3"},
        GlueVersion="5.1",
        **{"DefaultArguments": {"--seconds": "0"}, "Timeout": 6000, **definition},
    )
    return name


def ended(glue: Any, name: str, run_id: str, seconds: float = 300) -> Any:
    wait_until(lambda: state(glue, name, run_id)["JobRunState"] in ENDED, seconds, f"the end of {name}", 0.5)
    return state(glue, name, run_id)


def state(glue: Any, name: str, run_id: str) -> Any:
    return glue.get_job_run(JobName=name, RunId=run_id)["JobRun"]


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def messages(lake: LakeServer, group: str, stream: str) -> str:
    events = lake.emulator.client("logs").get_log_events(logGroupName=group, logStreamName=stream)["events"]
    return "\n".join(event["message"] for event in events)


def descendants(lake: LakeServer) -> list[str]:
    """Command lines of processes that work in this home."""
    folder = str(lake.settings.data / "glue_jobs" / "work")
    lines = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if folder in line]


@spark
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


@spark
def test_a_failure_is_told_as_glue_tells_it(lake: LakeServer, job: Callable[..., str]) -> None:
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


@spark
def test_one_run_at_a_time_and_stop(lake: LakeServer, job: Callable[..., str]) -> None:
    glue = lake.client("glue", config=Config(retries={"max_attempts": 0}))
    name = job(DefaultArguments={"--seconds": "600"})
    run_id = glue.start_job_run(JobName=name)["JobRunId"]
    assert refused(glue.start_job_run, JobName=name)[0] == "ConcurrentRunsExceededException"
    wait_until(lambda: descendants(lake) != [], what="the run's processes")
    reply = glue.batch_stop_job_run(JobName=name, JobRunIds=[run_id, "jr_absent"])
    assert [stopped["JobRunId"] for stopped in reply["SuccessfulSubmissions"]] == [run_id]
    assert reply["Errors"][0]["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    assert ended(glue, name, run_id)["JobRunState"] == "STOPPED"
    assert descendants(lake) == []
    again = glue.batch_stop_job_run(JobName=name, JobRunIds=[run_id])
    assert again["Errors"][0]["ErrorDetail"]["ErrorMessage"] == f"Job run {run_id} is STOPPED"


@spark
def test_a_run_ends_at_its_timeout(lake: LakeServer, job: Callable[..., str]) -> None:
    glue = lake.client("glue")
    name = job(DefaultArguments={"--seconds": "600"})
    run = ended(glue, name, glue.start_job_run(JobName=name, Timeout=3)["JobRunId"])  # minutes of two seconds
    assert run["JobRunState"] == "TIMEOUT"
    assert descendants(lake) == []


RENEWING = """
import sys, time, boto3
from pyspark.sql import SparkSession
session = SparkSession.builder.getOrCreate()
table = "glue_catalog.curated.renewed"
session.sql(f"create table {table} (a bigint) using iceberg location 's3://job-bucket/renewed'")
end, keys = time.time() + 20, []
while time.time() < end or len(keys) < 4:
    session.read.json("s3://job-bucket/in/").writeTo(table).append()
    boto3.client("s3").put_object(Bucket="job-bucket", Key="report", Body=b"x")
    credentials = session._jvm.com.amazonaws.auth.EC2ContainerCredentialsProviderWrapper().getCredentials()
    keys.append(credentials.getAWSAccessKeyId())
    time.sleep(1)
print("keys seen:", len(set(keys)))
"""


@spark
def test_credentials_renew_while_a_job_runs(tmp_path: Path) -> None:
    """Sessions of eight seconds, a run of more than twenty: S3A, Iceberg and boto3 all go on."""
    with (
        running_emulator(tmp_path) as emulator,
        running_server(emulator, [GlueCatalog, GlueJobs], session_seconds=8) as lake,
    ):
        furnish(emulator)
        emulator.client("s3").put_object(Bucket="job-bucket", Key="jobs/renewing.py", Body=RENEWING.encode())
        arguments = {"--datalake-formats": "iceberg", "--conf": ICEBERG}
        name = make_job(lake, "renewing", "renewing.py", DefaultArguments=arguments)
        glue = lake.client("glue")
        run_id = glue.start_job_run(JobName=name)["JobRunId"]
        run = ended(glue, name, run_id)
        log = (lake.settings.logs / "glue" / f"{run_id}.log").read_text()
        assert run["JobRunState"] == "SUCCEEDED", log
        assert int(log.rpartition("keys seen: ")[2].split()[0]) >= 2


@spark
def test_operator_shows_the_log_and_fails_with_the_job(
    lake: LakeServer,
    job: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from airflow.providers.amazon.aws.hooks.glue import GlueJobHook
    from airflow.providers.amazon.aws.operators.glue import GlueJobOperator

    from local.environment import endpoints

    for variable, value in endpoints(lake.settings).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
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


def serve(emulator: Emulator) -> subprocess.Popen[bytes]:
    """Our server as a process of its own."""
    settings = emulator.settings
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "LAKE_HOME": str(settings.home),
        "LAKE_PORT": str(settings.port),
        "PYTHONPATH": f"{ROOT}:{ROOT}/include",
    }
    with (settings.logs / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.executors.server"], env=environment, stdout=log, stderr=log
        )
    wait_until(lambda: answers(f"{settings.server_url}/health"), what="our server")
    return process


@spark
def test_runs_are_found_again_after_a_kill_and_end_with_the_home(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator:
        furnish(emulator)
        with running_server(emulator, [GlueCatalog, GlueJobs]) as lake:
            for name in ("survivor", "victim", "last"):
                make_job(lake, name)
        server = serve(emulator)
        try:
            glue = root_client(emulator.settings.server_url, "glue")
            runs = {
                name: glue.start_job_run(JobName=name, Arguments={"--seconds": seconds})["JobRunId"]
                for name, seconds in (("survivor", "8"), ("victim", "600"))
            }
            log = emulator.settings.logs / "glue"
            wait_until(lambda: all((log / f"{run}.log").exists() for run in runs.values()), 180, "both runs' output")
            server.kill()
            server.wait()
            for line in descendants(lake):
                assert runs["survivor"] in line or runs["victim"] in line
            for process in psutil.process_iter(["cmdline"]):
                if runs["victim"] in " ".join(process.info["cmdline"] or ()):
                    process.kill()
            server = serve(emulator)
            assert ended(glue, "survivor", runs["survivor"])["JobRunState"] == "SUCCEEDED"
            victim = ended(glue, "victim", runs["victim"])
            assert victim["JobRunState"] == "FAILED"
            assert "killed" in victim["ErrorMessage"]

            last = glue.start_job_run(JobName="last", Arguments={"--seconds": "600"})["JobRunId"]
            wait_until((log / f"{last}.log").exists, 180, "the last run's output")
            started = time.monotonic()
            server.send_signal(signal.SIGTERM)
            server.wait(30)
            assert time.monotonic() - started < 20
            assert descendants(lake) == []
            server = serve(emulator)
            run = state(glue, "last", last)
            assert (run["JobRunState"], run["ErrorMessage"]) == (
                "FAILED",
                "The local home was stopped while this run was under way.",
            )
        finally:
            server.kill()
            server.wait()
