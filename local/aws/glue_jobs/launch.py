"""From a run's arguments to a spark-submit command: Glue 5.1's stack on one machine.

What is local is given as Spark settings and as the standard SDK variables; the script is the very one that AWS runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.aws.glue_jobs import arguments as args
from local.aws.glue_jobs.runs import Run
from local.aws.settings import REGION, AwsSettings
from local.engines import spark


class Unstartable(Exception):
    """A run that cannot start; its message is the run's ErrorMessage."""


def prepare(run: Run, settings: AwsSettings, session: boto3.Session, work: Path) -> list[str]:
    """Fetch script and Python files under the job's role and write Spark's settings; returns the command.

    Raises Unstartable.
    """
    if missing := args.missing_modules(run.arguments):
        raise Unstartable(
            "--additional-python-modules asks for what the local home's Python does not have: " + ", ".join(missing)
        )
    s3 = session.client("s3")
    (work / "tmp").mkdir(parents=True)
    script = _fetch(s3, run.script, work)
    python_files = [str(_fetch(s3, address, work)) for address in args.python_files(run.arguments)]
    settings_of_run = {**_local_settings(run.arguments, settings, work), **args.spark_settings(run.arguments)}
    command = spark.submit(work / "spark.properties", settings_of_run)
    if python_files:
        command += ["--py-files", ",".join(python_files)]
    return [*command, str(script), *args.for_script(run.arguments)]


def environment(run: Run, settings: AwsSettings, credentials: Mapping[str, str], work: Path) -> dict[str, str]:
    """The environment of a run's processes: nothing of ours but the SDK's variables and the role's credentials."""
    jars = spark.jars()
    if "iceberg" not in args.lake_formats(run.arguments):
        jars = [jar for jar in jars if not jar.name.startswith("iceberg-")]
    return {
        **spark.environment(jars),
        **settings.endpoints,
        **credentials,
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",  # what a script prints is in its log at once
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


def _fetch(s3: object, address: str, work: Path) -> Path:
    parts = urlsplit(address)
    target = work / Path(parts.path).name
    try:
        s3.download_file(parts.netloc, parts.path.lstrip("/"), str(target))  # type: ignore[attr-defined]
    except (ClientError, BotoCoreError) as error:
        raise Unstartable(f"{address} cannot be read under the job's role: {error}") from error
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
