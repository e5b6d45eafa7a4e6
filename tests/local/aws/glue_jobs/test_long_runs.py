"""Glue jobs that outlive their credentials, and the server that started them."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from local.aws.glue_catalog import GlueCatalog
from local.aws.glue_jobs import GlueJobs
from local.engines.waiting import wait_until
from tests.local.aws.glue_jobs.jobs import ICEBERG, descendants, ended, make_job, state, upload_jobs
from tests.support.aws_services import running_emulator, running_server, server_process

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
    """With sessions of 8 s and a run of more than 20 s, S3A, Iceberg and boto3 all keep working."""
    with (
        running_emulator(tmp_path) as emulator,
        running_server(emulator, [GlueCatalog, GlueJobs], session_seconds=8) as lake,
    ):
        upload_jobs(emulator)
        emulator.client("s3").put_object(Bucket="job-bucket", Key="jobs/renewing.py", Body=RENEWING.encode())
        arguments = {"--datalake-formats": "iceberg", "--conf": ICEBERG}
        name = make_job(lake, "renewing", "renewing.py", DefaultArguments=arguments)
        glue = lake.client("glue")
        run_id = glue.start_job_run(JobName=name)["JobRunId"]
        run = ended(glue, name, run_id)
        log = (lake.settings.logs / "glue" / f"{run_id}.log").read_text()
        assert run["JobRunState"] == "SUCCEEDED", log
        assert int(log.rpartition("keys seen: ")[2].split()[0]) >= 2


@pytest.mark.spark
def test_runs_are_found_again_after_a_kill_and_end_with_the_home(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator:
        upload_jobs(emulator)
        with running_server(emulator, [GlueCatalog, GlueJobs]) as lake:
            for name in ("survivor", "victim", "last"):
                make_job(lake, name)
        with server_process(emulator) as server:
            glue = server.client("glue")
            runs = {
                name: glue.start_job_run(JobName=name, Arguments={"--seconds": seconds})["JobRunId"]
                for name, seconds in (("survivor", "8"), ("victim", "600"))
            }
            log = emulator.settings.logs / "glue"
            wait_until(
                lambda: all((log / f"{run}.log").exists() for run in runs.values()), 180, "not both runs wrote output"
            )
            server.kill()
            for line in descendants(lake):
                assert runs["survivor"] in line or runs["victim"] in line
            for process in psutil.process_iter(["cmdline"]):
                if runs["victim"] in " ".join(process.info["cmdline"] or ()):
                    process.kill()
            server.start()
            assert ended(glue, "survivor", runs["survivor"])["JobRunState"] == "SUCCEEDED"
            victim = ended(glue, "victim", runs["victim"])
            assert victim["JobRunState"] == "FAILED"
            assert "killed" in victim["ErrorMessage"]

            last = glue.start_job_run(JobName="last", Arguments={"--seconds": "600"})["JobRunId"]
            wait_until((log / f"{last}.log").exists, 180, "the last run wrote no output")
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)
            assert time.monotonic() - started < 20
            assert descendants(lake) == []
            server.start()
            run = state(glue, "last", last)
            assert (run["JobRunState"], run["ErrorMessage"]) == (
                "FAILED",
                "The local home was stopped while this run was in progress.",
            )
