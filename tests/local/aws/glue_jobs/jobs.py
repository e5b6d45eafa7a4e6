"""For the tests of jobs: scripts, data and role, and the state and processes of runs."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import psutil

from local.engines.waiting import wait_until
from local.settings import ACCOUNT, REGION
from tests.support.aws_services import Emulator, LakeServer

ENDED = {"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT"}
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


def upload_jobs(emulator: Emulator) -> None:
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
    wait_until(lambda: state(glue, name, run_id)["JobRunState"] in ENDED, seconds, f"{name} did not end", 0.5)
    return state(glue, name, run_id)


def state(glue: Any, name: str, run_id: str) -> Any:
    return glue.get_job_run(JobName=name, RunId=run_id)["JobRun"]


def descendants(lake: LakeServer) -> list[str]:
    """The command lines of the processes that belong to this home's runs."""
    folder = str(lake.settings.data / "glue_jobs" / "work")
    lines = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if folder in line]
