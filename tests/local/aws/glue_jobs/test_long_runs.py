"""Glue jobs that outlive their credentials, and the server that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from local.aws.glue_catalog import GlueCatalog
from local.aws.glue_jobs import GlueJobs
from local.engines.waiting import wait_until
from local.settings import ROOT
from tests.local.aws.glue_jobs.jobs import ICEBERG, descendants, ended, furnish, make_job, state
from tests.support.aws_services import Emulator, answers, root_client, running_emulator, running_server

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


@pytest.mark.spark
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
            [sys.executable, "-m", "local.commands.aws_server"], env=environment, stdout=log, stderr=log
        )
    wait_until(lambda: answers(f"{settings.server_url}/health"), 60, "our server did not start")
    return process


@pytest.mark.spark
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
            wait_until(
                lambda: all((log / f"{run}.log").exists() for run in runs.values()), 180, "not both runs wrote output"
            )
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
            wait_until((log / f"{last}.log").exists, 180, "the last run wrote no output")
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
