"""What the two tables hold, as of one snapshot of each; files' bounds are asked first, so old files stay closed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import and_
from typing import Any

import boto3
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from datalake.events import CONFLICT, DUPLICATE, Event, LineParser, split_lines
from datalake.landing import LandedObject, first_month, key_at, key_span, parse_key
from datalake.names import REPAIRED_PREFIX
from datalake.schemas import Table
from datalake.tables import QUARANTINE, STREAMING_FILMS
from datalake_spark.iceberg import current_snapshot, read_snapshot
from datalake_spark.landed_lines import CONTENT, fetch
from datalake_spark.redelivery import COPY

_IN_LIMIT = 200  # Iceberg compares a longer IN list with no file's bounds (InclusiveMetricsEvaluator)
_COPY_TYPES = (
    "event_id string, timestamp string, eventtype string, film_id_streaming int, distributor string, platform string, "
    "state string, source_file string, source_line int"
)


@dataclass(frozen=True)
class FileBounds:
    """Month and smallest and largest ``source_file`` of one data file."""

    table: str
    month: str
    low: str
    high: str


class Held:
    """Both tables at the snapshots that were current when this was made."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self.snapshots = {table.name: current_snapshot(spark, table) for table in (STREAMING_FILMS, QUARANTINE)}
        self._bounds = [
            FileBounds(*row) for row in self._files(STREAMING_FILMS).union(self._files(QUARANTINE)).collect()
        ]

    def _files(self, table: Table) -> DataFrame:
        files = read_snapshot(self._spark, table, self.snapshots[table.name], "files")
        bounds = "readable_metrics.source_file"
        return files.select(
            fn.lit(table.name),
            fn.concat_ws("-", "partition.partition_0", "partition.partition_1"),
            f"{bounds}.lower_bound",
            f"{bounds}.upper_bound",
        )

    def read(self, table: Table) -> DataFrame:
        """One of the two tables at its snapshot."""
        return read_snapshot(self._spark, table, self.snapshots[table.name])

    def newest(self) -> str | None:
        """The key with the latest time among the bounds; the newest key of all, unless a file mixes series."""
        timed = [(landed.time, landed.key) for landed in self._bound_keys() if landed.time]
        return max(timed)[1] if timed else None

    def has_files(self, table: Table, month: str) -> bool:
        """Whether the table has rows of this month."""
        return any(bounds.table == table.name and bounds.month == month for bounds in self._bounds)

    def surrounds(self, month: str, objects: Iterable[LandedObject]) -> bool:
        """Whether one of these keys lies inside the bounds of a data file of the month."""
        keys = sorted(landed.key for landed in objects)
        own = (bounds for bounds in self._bounds if bounds.month == month)
        return any(bisect_left(keys, bounds.low) < bisect_right(keys, bounds.high) for bounds in own)

    def month_keys(self, month: str) -> set[str]:
        """Keys of this month's objects with a row in one of the tables."""
        keys = (self.read(t).where(in_month(month)).select("source_file") for t in (STREAMING_FILMS, QUARANTINE))
        films, quarantine = keys
        return {row.source_file for row in films.union(quarantine).distinct().collect()}

    def done(self, bucket: str, since: datetime | None) -> tuple[set[str], set[str]]:
        """Keys that are done, and keys that a broken run left in quarantine only; each complete from ``since`` on.

        An object without a row in streaming_films is done when all its lines are in quarantine: they are counted.
        """
        where = self._between(since, None) | fn.col("source_file").startswith(REPAIRED_PREFIX)
        films = self.read(STREAMING_FILMS).where(where).groupBy("source_file").agg(fn.lit(None).cast("bigint"))
        quarantine = self.read(QUARANTINE).where(where).groupBy("source_file").count()
        rows = films.union(quarantine).toDF("source_file", "lines").collect()
        done = {row.source_file for row in rows if row.lines is None}
        lines = {row.source_file: row.lines for row in rows if row.lines is not None and row.source_file not in done}
        objects = [parse_key(key) for key in sorted(lines)]
        landed = fetch(bucket, boto3.session.Session().region_name, objects)
        complete = {o.key for o, body in landed if sum(1 for _ in split_lines(body)) == lines[o.key]}
        return done | complete, lines.keys() - complete

    def copies(self, objects: Iterable[LandedObject], window: timedelta) -> DataFrame | None:
        """Committed copies (``COPY``, neither fresh nor mine) whose objects lie within ``window`` of these objects.

        None when the tables hold nothing of that time.
        """
        times = [landed.time for landed in objects if landed.time]
        if not times or not self._bounds:
            return None
        series = {landed.series for landed in objects if landed.time}
        near = self._between(min(times) - window, max(times) + window, series)
        names = [definition.split()[0] for definition in _COPY_TYPES.split(", ")]
        rows = self.read(STREAMING_FILMS).where(near & fn.col("event_id").isNotNull()).select(*names)
        if any(bounds.table == QUARANTINE.name for bounds in self._bounds):
            lines = self.read(QUARANTINE).where(near & fn.col("reason").isin(DUPLICATE, CONFLICT))
            lines = lines.select("source_file", "source_line", "raw")
            rows = rows.union(lines.mapInArrow(_quarantined_copies, _COPY_TYPES))
        time = fn.regexp_extract("source_file", r"([0-9]{4}(-[0-9]{2}){5})-[0-9a-f-]{36}$", 1)
        return (
            rows.withColumn("object_time", fn.unix_timestamp(time, "yyyy-MM-dd-HH-mm-ss"))
            .withColumns({"fresh": fn.lit(False), "mine": fn.lit(False)})
            .select(*COPY)
        )

    def _bound_keys(self) -> Iterator[LandedObject]:
        for bounds in self._bounds:
            yield parse_key(bounds.low)
            yield parse_key(bounds.high)

    def _between(self, since: datetime | None, until: datetime | None, series: Collection[str] = frozenset()) -> Column:
        """Everything but what is known to lie outside: rows of other months, and of a known series but another time."""
        if since is None:
            return fn.lit(True)
        source_file = fn.col("source_file")
        year, month = first_month(since)
        conditions = [
            (fn.col("partition_0") > year) | ((fn.col("partition_0") == year) & (fn.col("partition_1") >= month))
        ]
        known = (landed for landed in self._bound_keys() if landed.time)
        recent = {landed.series for landed in known if (landed.partition_0, landed.partition_1) >= (year, month)}
        for name in sorted(recent.union(series)):
            first, end = key_span(name)
            conditions.append((source_file < first) | (source_file >= key_at(name, since)))
            if until is not None:
                conditions.append((source_file < key_at(name, until + timedelta(seconds=1))) | (source_file >= end))
        return reduce(and_, conditions)


def in_month(month: str) -> Column:
    """The condition of one month's partition."""
    year, number = month.split("-")
    return (fn.col("partition_0") == year) & (fn.col("partition_1") == number)


def of_objects(keys: Iterable[str]) -> Column:
    """The condition of these objects' rows, in lists short enough to be compared with the files' bounds."""
    ordered = sorted(keys)
    chunks = [ordered[start : start + _IN_LIMIT] for start in range(0, len(ordered), _IN_LIMIT)]
    source_file = fn.col("source_file")
    return reduce(lambda one, other: one | other, (source_file.isin(chunk) for chunk in chunks))


def _quarantined_copies(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Read the events of quarantined copies from their text again."""
    names = [definition.split()[0] for definition in _COPY_TYPES.split(", ")]
    for batch in batches:
        rows: list[dict[str, Any]] = []
        for line in batch.to_pylist():
            event = LineParser(parse_key(line["source_file"])).parse(line["raw"].encode())
            if isinstance(event, Event):
                content = dict(zip(CONTENT, event, strict=False))
                rows.append({**content, "event_id": event.event_id, **line})
        columns = {name: [row[name] for row in rows] for name in names}
        numbers = {"film_id_streaming", "source_line"}
        types = [pa.int32() if name in numbers else pa.string() for name in names]
        yield pa.RecordBatch.from_arrays(
            [pa.array(column, kind) for column, kind in zip(columns.values(), types, strict=True)], names
        )
