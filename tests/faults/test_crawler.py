"""Odd objects under the crawled prefix, through Airflow's own operator, the crawler and a real Trino."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from botocore.exceptions import WaiterError

from datalake.tables import LANDED_EVENTS
from lake_airflow import crawls
from lake_airflow.defaults import LAKE
from tests.faults.catalogue import Fault, fault
from tests.glue.lake import at, event, key, lines
from tests.support.athena_home import LAKE as HOME
from tests.support.athena_home import AthenaHome, allow, rows

pytestmark = [pytest.mark.trino, pytest.mark.services]
DATABASE = LANDED_EVENTS.database


def _csv(odd: dict[str, Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([list(odd), *[list(odd.values())] * 3])
    return text.getvalue().encode()


def _parquet(odd: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([odd] * 3), file)
    return file.getvalue()


@dataclass(frozen=True)
class Odd:
    """An object that should not be there: its bytes, made of an event; where; what is said of it, if the crawl ends."""

    body: Callable[[dict[str, Any]], bytes]
    place: str = "streaming/{month}/{name}"
    drift: str = ""  # what check_catalog names
    fails: bool = False  # the crawl fails and names the object


ODD = {
    "new field": Odd(lambda one: lines({**one, "device": "tv"}), drift="device"),
    "other type": Odd(lambda one: lines({**one, "film_id": "12abc"}), drift="film_id: int -> string"),
    "nested": Odd(lambda one: lines({**one, "state": {"name": "Utah"}, "tags": [1]}), drift="tags"),
    "an array": Odd(lambda one: json.dumps([one, one]).encode()),
    "text": Odd(lambda _: b"please ignore\n"),
    "empty": Odd(lambda _: b""),
    "hidden": Odd(_parquet, place="streaming/{month}/_{name}"),
    "a folder": Odd(lambda _: b"", place="streaming/{month}/{name}/"),
    "csv": Odd(_csv, fails=True),
    "parquet": Odd(_parquet, fails=True),
    "gzip": Odd(lambda one: gzip.compress(lines(one)), fails=True),
    "elsewhere": Odd(lines, place="streaming/{name}", fails=True),
    "deeper": Odd(lines, place="streaming/{month}/23/{name}", fails=True),
}


@dataclass
class Landing:
    """The lake's landing bucket, its crawler and the catalog."""

    home: AthenaHome

    def put(self, place: str, body: bytes) -> None:
        self.home.root("s3").put_object(Bucket=LAKE.landing_bucket, Key=place, Body=body)

    def crawl(self) -> None:
        """As the DAG does: run the crawler. Raises WaiterError."""
        GlueCrawlerRunOperator(task_id="run_crawler", crawler_name=LAKE.crawler, poll_interval=1).execute({})

    def count(self, odd: str) -> int:
        """Rows that analysts see of all objects but the odd one."""
        sql = f"SELECT count(*) FROM {DATABASE}.{LANDED_EVENTS.name} WHERE \"$path\" NOT LIKE '%{odd}%'"
        return int(str(rows(self.home.root("athena"), sql)[0][0]))

    def catalog(self) -> tuple[list[str], list[tuple[str, ...]]]:
        """Tables of the database, partitions of the raw table."""
        glue = self.home.root("glue")
        tables = glue.get_tables(DatabaseName=DATABASE)["TableList"]
        partitions = glue.get_partitions(DatabaseName=DATABASE, TableName=LANDED_EVENTS.name)["Partitions"]
        return [table["Name"] for table in tables], sorted(tuple(one["Values"]) for one in partitions)

    def said(self) -> str:
        """The crawler's log."""
        logs = self.home.root("logs").filter_log_events(logGroupName="/aws-glue/crawlers")["events"]
        return "\n".join(found["message"] for found in logs)


@pytest.fixture
def landing(trino_home: AthenaHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[Landing]:
    """An empty one; Airflow's AWS connection leads to it."""
    s3, glue = trino_home.root("s3"), trino_home.root("glue")
    server, emulator = trino_home.lake.settings.server_url, trino_home.lake.settings.emulator_url
    for name, value in {
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ENDPOINT_URL_GLUE": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    s3.create_bucket(Bucket=LAKE.landing_bucket)
    glue.create_database(DatabaseInput={"Name": DATABASE})
    glue.create_crawler(
        Name=LAKE.crawler,
        Role=trino_home.lake.role(HOME.role("crawler"), allow("s3:*", "glue:*", "logs:*")),
        DatabaseName=DATABASE,
        Targets={"S3Targets": [{"Path": f"s3://{LAKE.landing_bucket}/streaming/"}]},
    )
    yield Landing(trino_home)
    glue.delete_crawler(Name=LAKE.crawler)
    glue.delete_database(Name=DATABASE)
    for item in s3.list_objects_v2(Bucket=LAKE.landing_bucket).get("Contents", []):
        s3.delete_object(Bucket=LAKE.landing_bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=LAKE.landing_bucket)


@fault(Fault.ODD_OBJECT)
def test_an_odd_object_under_the_crawled_prefix(landing: Landing, seed: int) -> None:
    rng, began = random.Random(seed), at("2026-10-20 12:00:00")
    landed = 0  # the crawler looks at eight objects a folder: so few that it looks at all
    for _ in range(rng.randint(3, 7)):
        time = began + timedelta(seconds=rng.randint(0, 20 * 86400))
        count = rng.randint(1, 20)
        landing.put(key(time), lines(*(event(time) for _ in range(count))))
        landed += count
    landing.crawl()
    assert not any(crawls.check_catalog().values())
    for number, what in enumerate(rng.sample(sorted(ODD), 3)):
        odd, before, name = ODD[what], landing.catalog(), f"odd-{number}"
        time = began + timedelta(days=rng.randint(0, 20))
        place = odd.place.format(month=f"{time:%Y/%m}", name=rng.choice(["", "zzz-", "0-"]) + name)
        landing.put(place, odd.body(event(time)))
        if odd.fails:
            with pytest.raises(WaiterError):
                landing.crawl()
            assert name in [line for line in landing.said().splitlines() if " ERROR : " in line][-1], what
        else:
            landing.crawl()
            assert odd.drift in str(crawls.check_catalog()), what
        tables, partitions = landing.catalog()
        assert tables == [LANDED_EVENTS.name], what
        assert set(partitions) >= set(before[1]), what
        assert landing.count(name) == landed, what
        landing.home.root("s3").delete_object(Bucket=LAKE.landing_bucket, Key=place)
