"""A lake of its own for one test: two buckets, the catalog's database, films, and objects as Firehose names them."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from datalake.months import Month
from datalake.tables import FILM_CATEGORY, QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark import iceberg
from datalake_spark.enrichment import Enrichment
from datalake_spark.report import Report

NOVEMBER = Month.parse("2026-11")
STREAM = "sakila-streams-test-events-1-"


def at(text: str) -> datetime:
    """A UTC time from ``yyyy-MM-dd HH:mm:ss``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def key(time: datetime, stream: str = STREAM, root: str = "streaming", folder: str = "") -> str:
    """A key as Firehose gives it, each time another."""
    return (
        f"{root}/{folder or f'{time:%Y/%m}'}/{stream}{time:%Y-%m-%d-%H-%M-%S}-{uuid.UUID(int=random.getrandbits(128))}"
    )


def event(time: datetime, **changes: Any) -> dict[str, Any]:
    """A well-formed event from just before ``time``; a field changed to None is left out."""
    fields: dict[str, Any] = {
        "timestamp": (time - timedelta(seconds=5)).isoformat(),
        "eventType": "rent",
        "film_id": 1,
        "distributor": "youtube",
        "platform": "ios",
        "state": "Utah",
        "event_id": str(uuid.UUID(int=random.getrandbits(128))),
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def lines(*events: dict[str, Any]) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


@dataclass
class TestLake:
    """Names are the test's own, so that tests can share an emulator; tables are dropped by ``clear``."""

    __test__ = False
    spark: SparkSession
    s3: Any
    landing: str = field(default_factory=lambda: f"landing-{uuid.uuid4().hex[:12]}")
    curated: str = field(default_factory=lambda: f"curated-{uuid.uuid4().hex[:12]}")

    def create(self, films: Iterable[int] = range(1, 11)) -> None:
        """Buckets, and film_category with these films."""
        for bucket in (self.landing, self.curated):
            self.s3.create_bucket(Bucket=bucket)
        self.set_films(films)

    def set_films(self, films: Iterable[int]) -> None:
        """Replace the content of film_category."""
        rows = [
            (f, f"FILM {f}", "about it", 2006, 1, None, 90, "PG", "Trailers", f % 3, f"Category {f % 3}") for f in films
        ]
        iceberg.create_table(self.spark, FILM_CATEGORY, self.curated)
        frame = self.spark.createDataFrame(rows, FILM_CATEGORY.spark_ddl())
        frame.writeTo(iceberg.identifier(FILM_CATEGORY)).overwritePartitions()

    def clear(self) -> None:
        """Drop the tables."""
        for table in (FILM_CATEGORY, STREAMING_FILMS, QUARANTINE, RECONCILIATION):
            self.spark.sql(f"DROP TABLE IF EXISTS {iceberg.identifier(table)}")

    def empty(self, films: Iterable[int] = range(1, 11)) -> None:
        """Nothing has landed, and no table has a row but film_category."""
        listed = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.landing)
        for landed in [entry["Key"] for page in listed for entry in page.get("Contents", [])]:
            self.s3.delete_object(Bucket=self.landing, Key=landed)
        self.clear()
        self.set_films(films)

    def put(self, object_key: str, body: bytes) -> str:
        """Land an object."""
        self.s3.put_object(Bucket=self.landing, Key=object_key, Body=body)
        return object_key

    def land(self, time: datetime, *events: dict[str, Any], **place: str) -> str:
        """Land an object of these events (one by default)."""
        return self.put(key(time, **place), lines(*(events or (event(time),))))

    def run(self) -> Enrichment:
        """A run of the job."""
        return Enrichment(self.spark, self.s3, self.landing, self.curated, f"jr_{uuid.uuid4().hex[:8]}")

    def hourly(self) -> Report:
        """Run hourly; returns its report."""
        run = self.run()
        run.take_new()
        return run.report

    def rebuild(self, month: str) -> Report:
        """Rebuild a month (yyyy-MM); returns the report."""
        run = self.run()
        run.rebuild(Month.parse(month))
        return run.report

    def films(self) -> DataFrame:
        """curated.streaming_films as it is now."""
        return self._table(STREAMING_FILMS)

    def quarantine(self) -> DataFrame:
        """The quarantine as it is now."""
        return self._table(QUARANTINE)

    def reconciliation(self) -> DataFrame:
        """The rows of all runs, as of now."""
        return self._table(RECONCILIATION)

    def _table(self, table: Any) -> DataFrame:
        self.spark.catalog.refreshTable(iceberg.identifier(table))
        return self.spark.table(iceberg.identifier(table))

    def reasons(self) -> dict[str, int]:
        """Quarantined lines by reason."""
        return {row.reason: row["count"] for row in self.quarantine().groupBy("reason").count().collect()}

    def hash(self) -> tuple[int, int]:
        """Count and order-free hash over the columns that must not depend on the order of runs."""
        columns = [name for name in STREAMING_FILMS.column_names if not name.startswith("source_")]
        row = (
            self.films()
            .selectExpr("count(*) n", f"sum(cast(xxhash64({', '.join(f'`{c}`' for c in columns)}) as decimal(38)))")
            .first()
        )
        assert row is not None
        return row[0], row[1]

    def snapshots(self) -> int:
        """Commits of streaming_films so far."""
        return self.spark.table(f"{iceberg.identifier(STREAMING_FILMS)}.snapshots").count()

    def data_files(self) -> int:
        """Data files of streaming_films now."""
        return self.spark.table(f"{iceberg.identifier(STREAMING_FILMS)}.files").count()

    def same_after_rebuild(self, *months: str) -> bool:
        """Whether rebuilding these months, one after another, leaves rows and reasons as they are."""
        before = self.hash(), self.reasons()
        for month in months:
            self.rebuild(month)
        return before == (self.hash(), self.reasons())

    def snapshot_summary(self, snapshot: int) -> dict[str, str]:
        """What is kept with a commit of streaming_films."""
        row = self.spark.table(f"{iceberg.identifier(STREAMING_FILMS)}.snapshots").where(f"snapshot_id = {snapshot}")
        return dict(row.collect()[0].summary)
