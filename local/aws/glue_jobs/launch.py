"""The spark-submit command and the environment of a job run: Glue 5.1's stack on one machine.

The script is the one that AWS runs; Spark settings and the standard SDK variables point it at the local home.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.aws.glue_jobs import arguments as args
from local.aws.glue_jobs.job_runs import JobRun
from local.aws.settings import REGION, AwsSettings
from local.engines import spark

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class CannotStart(Exception):
    """A run cannot start; the message becomes its ErrorMessage."""


def command(run: JobRun, settings: AwsSettings, session: boto3.Session, work: Path) -> list[str]:
    """Fetch the script and Python files under the job's role, write Spark's settings, and return the command.

    Raises CannotStart.
    """
    if missing := args.missing_modules(run.arguments):
        raise CannotStart(f"--additional-python-modules: the local home's Python lacks {', '.join(missing)}")
    s3 = session.client("s3")
    (work / "tmp").mkdir(parents=True)
    script = _fetch(s3, run.script, work)
    python_files = [str(_fetch(s3, address, work)) for address in args.python_files(run.arguments)]
    spark_settings = {**_local_settings(run.arguments, settings, work), **args.spark_settings(run.arguments)}
    submit = spark.submit(work / "spark.properties", spark_settings)
    if python_files:
        submit += ["--py-files", ",".join(python_files)]
    return [*submit, str(script), *args.script_arguments(run.arguments)]


def environment(run: JobRun, settings: AwsSettings, credentials: Mapping[str, str], work: Path) -> dict[str, str]:
    """The environment of a run's processes: only Spark's and the SDK's variables and the role's credentials."""
    jars = spark.jars()
    if "iceberg" not in args.lake_formats(run.arguments):
        jars = [jar for jar in jars if not jar.name.startswith("iceberg-")]
    return {
        **spark.environment(jars),
        **settings.endpoints,
        **credentials,
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",  # so that a script's output reaches its log at once
        "TMPDIR": str(work / "tmp"),
    }


def _local_settings(arguments: Mapping[str, str], settings: AwsSettings, work: Path) -> dict[str, str]:
    logging = work / "log4j2.properties"
    logging.write_text(_LOGGING)
    catalogs = [
        name
        for name, value in args.spark_settings(arguments).items()
        if value == spark.ICEBERG_CATALOG and name.count(".") == 3 and name.startswith("spark.sql.catalog.")
    ]
    local = {
        **spark.LOCAL,
        "spark.driver.extraJavaOptions": (
            f"{spark.JAVA_OPTIONS} -Dlog4j2.configurationFile=file:{logging} -Djava.io.tmpdir={work / 'tmp'}"
        ),
        "spark.local.dir": str(work / "tmp"),
        "spark.sql.warehouse.dir": str(work / "warehouse"),
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint": settings.emulator_url,
        "spark.hadoop.fs.s3a.endpoint.region": REGION,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.auth.EC2ContainerCredentialsProviderWrapper",
    }
    for catalog in catalogs:
        local |= {
            f"{catalog}.glue.endpoint": settings.server_url,
            f"{catalog}.s3.endpoint": settings.emulator_url,
            f"{catalog}.s3.path-style-access": "true",
            f"{catalog}.client.region": REGION,
        }
    return local


def _fetch(s3: S3Client, address: str, work: Path) -> Path:
    parts = urlsplit(address)
    target = work / Path(parts.path).name
    try:
        s3.download_file(parts.netloc, parts.path.lstrip("/"), str(target))
    except (ClientError, BotoCoreError) as error:
        raise CannotStart(f"{address} cannot be read under the job's role: {error}") from error
    return target


_LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{yyyy-MM-dd HH:mm:ss} %p %c{1}: %m%n%ex
"""
