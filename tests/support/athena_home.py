"""A home with only what Athena needs: emulator, our server with Glue's catalog and crawler and Athena, a real Trino."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from datalake.names import Lake
from local.aws.athena import Athena
from local.aws.glue_catalog import GlueCatalog
from local.aws.glue_crawler import GlueCrawler
from local.engines import trino
from local.engines.waiting import wait_until
from local.settings import ENVIRONMENT, SUFFIX
from tests.support.aws_services import LakeServer, running_emulator, running_server

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_s3 import S3Client

LAKE = Lake(ENVIRONMENT, SUFFIX)
DATA, RESULTS, WORKGROUP, DATABASE = LAKE.clean_bucket, LAKE.results_bucket, LAKE.workgroup, "shop"
OUTPUT = f"s3://{RESULTS}/athena/"


@dataclass
class AthenaHome:
    """The running home; ``trino`` is Trino's process."""

    lake: LakeServer
    trino: subprocess.Popen[bytes]

    def session(self, role: str) -> boto3.Session:
        """A session under a role, whose clients call the home."""
        return self.lake.session(role)

    def root(self, service: str) -> Any:
        """A root client of our server, or of the emulator for services that only the emulator has."""
        return self.lake.client(service) if service in ("athena", "glue") else self.lake.emulator.client(service)


def allow(*actions: str, on: str | list[str] = "*") -> dict[str, Any]:
    """A policy statement."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": on}


@contextmanager
def athena_home(folder: Path) -> Iterator[AthenaHome]:
    """Start it with the analysts' role, buckets, Trino, and a workgroup that enforces its location and encryption."""
    with running_emulator(folder) as emulator, running_server(emulator, (GlueCatalog, GlueCrawler, Athena)) as lake:
        s3, iam = emulator.client("s3"), emulator.client("iam")
        for bucket in (DATA, RESULTS):
            s3.create_bucket(Bucket=bucket)
        role = lake.role(LAKE.role("analyst"), allow("s3:*", "glue:*"))
        iam.create_user(UserName=trino.ENGINE_USER)
        policy = {"Version": "2012-10-17", "Statement": [allow("sts:AssumeRole", on=role)]}
        iam.put_user_policy(UserName=trino.ENGINE_USER, PolicyName="engine", PolicyDocument=json.dumps(policy))
        key = lake.client("iam").create_access_key(UserName=trino.ENGINE_USER)["AccessKey"]
        trino.configure(lake.settings, key["AccessKeyId"], key["SecretAccessKey"])
        lake.client("athena").create_work_group(
            Name=WORKGROUP,
            Configuration={
                "EnforceWorkGroupConfiguration": True,
                "BytesScannedCutoffPerQuery": 10_000_000,
                "ResultConfiguration": {
                    "OutputLocation": OUTPUT,
                    "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
                },
            },
        )
        with (folder / "trino.log").open("wb") as log:
            process = subprocess.Popen(trino.command(lake.settings), stdout=log, stderr=log)
        try:
            wait_until(lambda: process.poll() is not None or trino.started(lake.settings), 120, "Trino did not start")
            yield AthenaHome(lake, process)
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def trino_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AthenaHome]:
    """One home with a real Trino for the whole test session; each test uses table names of its own."""
    with athena_home(tmp_path_factory.mktemp("athena")) as home:
        home.root("glue").create_database(DatabaseInput={"Name": DATABASE})
        yield home


def run(athena: AthenaClient, sql: str, **options: Any) -> dict[str, Any]:
    """Run a statement to its end and return its execution."""
    options.setdefault("WorkGroup", WORKGROUP)
    options.setdefault("QueryExecutionContext", {"Database": DATABASE})
    execution_id = athena.start_query_execution(QueryString=sql, **options)["QueryExecutionId"]
    return finished(athena, execution_id)


def finished(athena: AthenaClient, execution_id: str, seconds: float = 90) -> dict[str, Any]:
    """The execution when it has ended."""

    def ended() -> dict[str, Any] | None:
        execution: dict[str, Any] = dict(athena.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"])
        return None if execution["Status"]["State"] in ("QUEUED", "RUNNING") else execution

    found = wait_until(ended, seconds, f"{execution_id} did not end", 0.03)
    assert found
    return found


def done(athena: AthenaClient, sql: str, **options: Any) -> dict[str, Any]:
    """Run a statement that must succeed."""
    execution = run(athena, sql, **options)
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"].get("StateChangeReason")
    return execution


def rows(athena: AthenaClient, sql: str, **options: Any) -> list[list[str | None]]:
    """Run a statement that must succeed and return its rows, without the header of a query."""
    execution = done(athena, sql, **options)
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution["QueryExecutionId"])
    found = [[cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
    return found[1:] if execution["SubstatementType"] == "SELECT" else found


def content(s3: S3Client, url: str) -> bytes:
    """The content of an object, given its URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def reason(execution: dict[str, Any]) -> str:
    return str(execution["Status"]["StateChangeReason"])
