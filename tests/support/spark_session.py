"""One Spark session for all tests of the jobs, on the emulator's S3 and Glue catalog, set up as a job's ``--conf``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from local.engines.spark import ICEBERG_CATALOG, LOCAL, jars
from local.settings import REGION, ROOT, ROOT_ACCESS_KEY
from tests.support.aws_services import Emulator

if TYPE_CHECKING:
    from tests.glue.lake import TestLake


@pytest.fixture(scope="session")
def aws_environment(emulator: Emulator) -> dict[str, str]:
    """What points an AWS client at the emulator, as root."""
    return {
        "AWS_ENDPOINT_URL": emulator.settings.emulator_url,
        "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ROOT_ACCESS_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


@pytest.fixture(scope="session")
def spark(aws_environment: dict[str, str]) -> Iterator[Any]:
    """Local Spark with two cores; the JVM and its Python workers get the environment that a job's process has."""
    from pyspark.sql import SparkSession

    # It reports the end of each connection, the last ones when pytest's own log is closed already.
    logging.getLogger("py4j").setLevel(logging.WARNING)
    url = aws_environment["AWS_ENDPOINT_URL"]
    catalog = "spark.sql.catalog.glue_catalog"
    settings = {
        **LOCAL,
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.ui.retainedExecutions": "10",  # of all the tests that share the session
        # Tests run each plan once on a few rows: compiling it well costs more than running it.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m",
        "spark.sql.codegen.wholeStage": "false",
        "spark.jars": ",".join(map(str, jars())),
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        catalog: ICEBERG_CATALOG,
        f"{catalog}.type": "glue",
        f"{catalog}.warehouse": "s3://unused/",
        f"{catalog}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        f"{catalog}.glue.endpoint": url,
        f"{catalog}.s3.endpoint": url,
        f"{catalog}.s3.path-style-access": "true",
        f"{catalog}.io.manifest.cache-enabled": "true",
        f"{catalog}.client.region": REGION,
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint": url,
        "spark.hadoop.fs.s3a.path.style.access": "true",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in aws_environment.items():
            environment.setenv(name, value)
        environment.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "include"), str(ROOT)]))
        environment.setenv("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def lake(
    spark: Any, emulator: Emulator, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestLake]:
    """An empty lake with ten films."""
    from tests.glue.lake import TestLake

    for name, value in aws_environment.items():
        monkeypatch.setenv(name, value)
    glue = emulator.client("glue")
    if not any(database["Name"] == "curated" for database in glue.get_databases()["DatabaseList"]):
        glue.create_database(DatabaseInput={"Name": "curated"})
    lake = TestLake(spark, emulator.client("s3"))
    lake.create()
    yield lake
    lake.clear()
    assert spark.sparkContext._jsc.getPersistentRDDs().isEmpty(), "a run left frames in memory"
