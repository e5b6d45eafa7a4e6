"""A clean zone to attack: buckets whose events a test delivers itself, and a deployed lake whose own workers run."""

from __future__ import annotations

import io
import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from datalake.tables import SAKILA
from lake_airflow import mysql
from lake_airflow.defaults import LAKE
from local.aws.queue_metrics import QueueMetrics
from local.engines import mysql as local_mysql
from local.engines.waiting import wait_until
from local.environment import endpoints
from local.settings import REGION, ROOT_ACCESS_KEY
from tests.support.aws_services import Emulator
from tests.support.lake_home import LakeHome, lake_home

KEY = "dms/sakila/category/LOAD00000001.csv"
PARQUET = "sakila/category/LOAD00000001.parquet"
MOMENT = "2006-02-15 04:46:27"


@dataclass(frozen=True)
class Zone:
    """A landing and a clean bucket, read and written by nobody's code but boto3 and pyarrow."""

    s3: Any
    landing: str
    clean: str

    def put(self, body: str | bytes, key: str = KEY) -> str:
        """Land a CSV; returns its ETag, unquoted."""
        data = body.encode() if isinstance(body, str) else body
        return str(self.s3.put_object(Bucket=self.landing, Key=key, Body=data)["ETag"]).strip('"')

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def parquet(self, key: str = PARQUET) -> bytes | None:
        """A Parquet object's bytes; None when there is none."""
        try:
            found: bytes = self.s3.get_object(Bucket=self.clean, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        return found

    def made_of(self, key: str = PARQUET) -> str | None:
        """ETag of the CSV that a Parquet object says it was made of."""
        try:
            metadata = self.s3.head_object(Bucket=self.clean, Key=key)["Metadata"]
        except ClientError:
            return None
        return str(metadata["source-etag"])

    def table(self, name: str = "category") -> pa.Table:
        """Every row of a table of the clean zone: all Parquet objects of its folder."""
        found = [self.parquet(key) for key in self.keys(self.clean, f"sakila/{name}/")]
        return pa.concat_tables(pq.read_table(io.BytesIO(body)).replace_schema_metadata() for body in found if body)

    def ids(self, name: str = "category") -> list[int]:
        """The first column of every row of a table, sorted."""
        return sorted(self.table(name).column(0).to_pylist()) if self.keys(self.clean, f"sakila/{name}/") else []

    def empty(self) -> None:
        for bucket in (self.landing, self.clean):
            for key in self.keys(bucket):
                self.s3.delete_object(Bucket=bucket, Key=key)


def categories(ids: Iterator[int] | range | list[int]) -> str:
    """A CSV of the table category with these ids."""
    return "category_id,name,last_update\n" + "".join(f"{number},Category {number},{MOMENT}\n" for number in ids)


def notification(bucket: str, key: str = KEY, sequencer: str = "") -> dict[str, Any]:
    """What S3 says of a new object."""
    described = {"key": quote_plus(key, safe="/"), **({"sequencer": sequencer} if sequencer else {})}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    return {"Records": [{**record, "s3": {"bucket": {"name": bucket}, "object": described}}]}


def sequencers(rng: random.Random, count: int) -> list[str]:
    """Sequencers as S3 gives them: growing when filled up with zeros on the right, of several lengths."""
    numbers = sorted(rng.sample(range(1, 16**6), count))
    return ["0055AED6DC" + f"{number:06X}".rstrip("0") for number in numbers]


def next_second() -> None:
    """S3 and DMS tell whole seconds: what comes after this is later than what came before it."""
    before = int(time.time())
    wait_until(lambda: int(time.time()) > before, 60, "the second did not pass", 0.01)


def function_environment(emulator: Emulator, clean: str) -> dict[str, str]:
    """The environment of the function outside Lambda, under root."""
    return {
        "AWS_ENDPOINT_URL": emulator.settings.emulator_url,
        "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ROOT_ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "CLEAN_BUCKET": clean,
    }


@pytest.fixture
def zone(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """Two empty buckets without notifications; ``csv_to_parquet.handler`` works on them."""
    import csv_to_parquet

    found = Zone(emulator.client("s3"), "attacked-landing", "attacked-clean")
    for bucket in (found.landing, found.clean):
        found.s3.create_bucket(Bucket=bucket)
        found.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    found.empty()
    for name, value in function_environment(emulator, found.clean).items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    csv_to_parquet._s3.cache_clear()
    yield found
    csv_to_parquet._s3.cache_clear()
    found.empty()


@dataclass(frozen=True)
class Deployed:
    """The template as it stands in the repository, deployed: MySQL, DMS, S3 -> SQS -> Lambda, alarm."""

    home: LakeHome
    outputs: dict[str, str]
    metrics: QueueMetrics
    zone: Zone

    def depth(self, queue: str) -> int:
        """Messages in a queue (``CsvQueue`` or ``CsvDeadLetterQueue``), those in flight included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.home.clients("sqs").get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)

    def send(self, *bodies: dict[str, Any] | str) -> None:
        """Messages into the queue of CSV objects."""
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            self.home.clients("sqs").send_message(QueueUrl=self.outputs["CsvQueue"], MessageBody=text)

    def settle(self) -> None:
        """Wait until the workers have taken every message."""
        wait_until(lambda: self.depth("CsvQueue") == 0, 60, "the queue did not become empty")

    def mysql(self) -> Any:
        """A connection to the lake's MySQL, whose schema is sakila."""
        secret = self.home.clients("secretsmanager").get_secret_value(SecretId=LAKE.mysql_secret)["SecretString"]
        return mysql.connect(json.loads(secret), str(local_mysql.ca_path(self.home.settings)), "sakila")

    def silence(self) -> None:
        """S3 tells the queue nothing any more: every event is lost, until ``speak``."""
        self.zone.s3.put_bucket_notification_configuration(Bucket=self.zone.landing, NotificationConfiguration={})

    def speak(self) -> None:
        """S3 tells the queue of new CSV objects, as the template asks."""
        arn = self.home.clients("sqs").get_queue_attributes(
            QueueUrl=self.outputs["CsvQueue"], AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"]
        rules = [{"Name": "prefix", "Value": "dms/"}, {"Name": "suffix", "Value": ".csv"}]
        told = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}
        self.zone.s3.put_bucket_notification_configuration(
            Bucket=self.zone.landing, NotificationConfiguration={"QueueConfigurations": [told]}
        )


@pytest.fixture(scope="session")
def deployed_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """One for all tests of a session; ``deployed`` gives it to a test, empty."""
    with lake_home(tmp_path_factory.mktemp("clean-zone"), LAKE) as home:
        outputs = home.deploy()
        (metrics,) = (one for one in home.server.server.apis if isinstance(one, QueueMetrics))
        metrics.stop()  # tests say when it tells
        s3 = home.clients("s3")
        yield Deployed(home, outputs, metrics, Zone(s3, LAKE.landing_bucket, LAKE.clean_bucket))


@pytest.fixture
def deployed(deployed_lake: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """Empty queues and buckets; Airflow's code works on it under the role of the DAGs."""
    deployed_lake.zone.empty()
    for queue in ("CsvQueue", "CsvDeadLetterQueue"):
        deployed_lake.home.clients("sqs").purge_queue(QueueUrl=deployed_lake.outputs[queue])
    keys = deployed_lake.home.server.session(deployed_lake.outputs["AirflowRole"]).get_credentials()
    frozen: Any = keys.get_frozen_credentials() if keys else SimpleNamespace()
    environment = {
        **endpoints(deployed_lake.home.settings),
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
        "LAKE_MYSQL_CA": str(local_mysql.ca_path(deployed_lake.home.settings)),
        "LAKE_ENVIRONMENT": os.environ["LAKE_ENVIRONMENT"],
        "LAKE_SUFFIX": os.environ["LAKE_SUFFIX"],
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield deployed_lake
    deployed_lake.speak()


def assert_typed(table: pa.Table, name: str) -> None:
    """A table of the clean zone has the declared columns, in their order, with the declared types."""
    import typed_csv

    assert table.schema.remove_metadata() == typed_csv.arrow_schema(SAKILA[name])
