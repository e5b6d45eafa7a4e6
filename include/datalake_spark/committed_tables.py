"""What the tables hold at one snapshot of each.

Partitions and the bounds of data files are looked at first, so that old data files are not read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import groupby
from operator import and_, or_
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from datalake.events import CONFLICT, DUPLICATE, Event, LineParser
from datalake.landing import LandedObject, key_at, key_span, months_of_names, parse_key
from datalake.months import Month
from datalake.schemas import Table
from datalake.tables import QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark.iceberg import current_snapshot, identifier, read_snapshot
from datalake_spark.landed_lines import CONTENT
from datalake_spark.redelivery import COPY

_IN_LIMIT = 200  # Iceberg does not compare a longer IN list with the files' bounds (InclusiveMetricsEvaluator)
_COPY_TYPES = (
    "event_id string, timestamp string, eventtype string, film_id_streaming int, distributor string, platform string, "
    "state string, source_file string, source_line int"
)


@dataclass(frozen=True)
class FileBounds:
    """One data file: its table, its month, and its smallest and largest ``source_file``."""

    table: str
    month: Month
    low: str
    high: str


class CommittedTables:
    """The tables at the snapshots that were current when this object was made.

    The snapshot of RECONCILIATION is taken first, so that the rows of each object that is done according to it are in
    the snapshots of the other tables.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        tables = (RECONCILIATION, QUARANTINE, STREAMING_FILMS)
        self.snapshots = {table.name: current_snapshot(spark, table) for table in tables}
        self._bounds: dict[Month, list[FileBounds]] = {}

    def read(self, table: Table) -> DataFrame:
        """One of the tables at its snapshot."""
        return read_snapshot(self._spark, table, self.snapshots[table.name])

    def newest(self, months: Iterable[Month] | None = None) -> str | None:
        """The done object with the latest time in its name: in the first of these months with one, or in any month."""
        if self.snapshots[RECONCILIATION.name] is None:
            return None
        for one in [None] if months is None else ([month] for month in months):
            timed = [(o.time, o.key) for o in _bound_keys(self._files([RECONCILIATION], one)) if o.time]
            if timed:
                return max(timed)[1]
        return None

    def done(self, objects: Collection[LandedObject]) -> set[str]:
        """The keys of those of these objects that are done: a run has committed all their lines."""
        if self.snapshots[RECONCILIATION.name] is None or not objects:
            return set()
        asked = reduce(or_, (_covering(month, group) for month, group in _by_month(objects)))
        rows = self.read(RECONCILIATION).where(asked).select("source_file").distinct().collect()
        return {row.source_file for row in rows} & {landed.key for landed in objects}

    def has_files(self, table: Table, month: Month) -> bool:
        """Whether the table has rows of this month."""
        return any(bounds.table == table.name for bounds in self._of_months([month]))

    def surrounds(self, month: Month, objects: Iterable[LandedObject]) -> bool:
        """Whether one of these keys lies inside the bounds of a data file of the month."""
        keys = sorted(landed.key for landed in objects)
        bounds = self._of_months([month])
        return any(bisect_left(keys, one.low) < bisect_right(keys, one.high) for one in bounds)

    def month_keys(self, month: Month) -> set[str]:
        """Keys of this month's objects with a row in streaming_films or in quarantine."""
        keys = (self.read(t).where(in_month(month)).select("source_file") for t in (STREAMING_FILMS, QUARANTINE))
        return {row.source_file for row in reduce(DataFrame.union, keys).distinct().collect()}

    def interrupted(self) -> set[Month]:
        """Months that an interrupted run was rewriting, and that no run has rewritten to the end since then.

        Their objects may all have been done before, so only the snapshots tell, for as long as these are kept.
        """
        frames = [self._replacements(table) for table in (RECONCILIATION, QUARANTINE)]
        rows = reduce(DataFrame.union, frames).collect()
        ended = {row.step for row in rows if row.table == RECONCILIATION.name}
        last: dict[str, datetime] = {}
        for row in rows:
            if row.step in ended:
                last[row.month] = max(row.committed_at, last.get(row.month, row.committed_at))
        broken = (row for row in rows if row.step not in ended)
        keys = {row.month for row in broken if row.month not in last or last[row.month] < row.committed_at}
        return set(map(Month.of_key, keys))

    def _replacements(self, table: Table) -> DataFrame:
        summary = fn.col("summary")
        snapshots = self._spark.table(f"{identifier(table)}.snapshots").select(
            fn.lit(table.name).alias("table"),
            "committed_at",
            summary["step-id"].alias("step"),
            summary["replaced-month"].alias("month"),
        )
        return snapshots.where("month IS NOT NULL")

    def copies(self, objects: Iterable[LandedObject], window: timedelta) -> DataFrame | None:
        """Committed copies (``COPY``, neither fresh nor mine) in objects within ``window`` of these objects.

        It is None when the tables hold nothing of that time.
        """
        times = [landed.time for landed in objects if landed.time]
        if not times:
            return None
        since, until = min(times) - window, max(times) + window
        bounds = self._of_months(months_of_names(since, until))
        if not bounds:
            return None
        series = {landed.series for landed in objects if landed.time}
        series |= {landed.series for landed in _bound_keys(bounds) if landed.time}
        near = _between(since, until, series)
        names = [definition.split()[0] for definition in _COPY_TYPES.split(", ")]
        rows = self.read(STREAMING_FILMS).where(near & fn.col("event_id").isNotNull()).select(*names)
        if any(one.table == QUARANTINE.name for one in bounds):
            lines = self.read(QUARANTINE).where(near & fn.col("reason").isin(DUPLICATE, CONFLICT))
            lines = lines.select("source_file", "source_line", "raw")
            rows = rows.union(lines.mapInArrow(_quarantined_copies, _COPY_TYPES))
        time = fn.regexp_extract("source_file", r"([0-9]{4}(-[0-9]{2}){5})-[0-9a-f-]{36}$", 1)
        return (
            rows.withColumn("object_time", fn.unix_timestamp(time, "yyyy-MM-dd-HH-mm-ss"))
            .withColumns({"fresh": fn.lit(False), "mine": fn.lit(False)})
            .select(*COPY)
        )

    def _of_months(self, months: Collection[Month]) -> list[FileBounds]:
        """Data files of streaming_films and of the quarantine in these months."""
        unknown = [month for month in months if month not in self._bounds]
        if unknown:
            self._bounds |= {month: [] for month in unknown}
            for bounds in self._files([STREAMING_FILMS, QUARANTINE], unknown):
                self._bounds[bounds.month].append(bounds)
        return [bounds for month in months for bounds in self._bounds[month]]

    def _files(self, tables: Iterable[Table], months: Iterable[Month] | None) -> list[FileBounds]:
        """Data files of these months, or of all; only manifests that span one of the months are opened."""
        frames = [self._file_bounds(table) for table in tables]
        if months is not None:
            condition = reduce(or_, (in_month(month, "partition.") for month in months))
            frames = [frame.where(condition) for frame in frames]
        columns = ("table", "partition.partition_0", "partition.partition_1", "low", "high")
        rows = reduce(DataFrame.union, (frame.select(*columns) for frame in frames)).collect()
        return [FileBounds(row.table, Month(row.partition_0, row.partition_1), row.low, row.high) for row in rows]

    def _file_bounds(self, table: Table) -> DataFrame:
        bounds = "readable_metrics.source_file"
        files = read_snapshot(self._spark, table, self.snapshots[table.name], "files")
        return files.withColumns(
            {
                "table": fn.lit(table.name),
                "low": fn.col(f"{bounds}.lower_bound"),
                "high": fn.col(f"{bounds}.upper_bound"),
            }
        )


def _bound_keys(files: Iterable[FileBounds]) -> Iterator[LandedObject]:
    for bounds in files:
        yield parse_key(bounds.low)
        yield parse_key(bounds.high)


def _by_month(objects: Iterable[LandedObject]) -> Iterator[tuple[Month, list[LandedObject]]]:
    ordered = sorted(objects, key=lambda landed: (landed.month, landed.key))
    for month, group in groupby(ordered, key=lambda landed: landed.month):
        yield month, list(group)


def _covering(month: Month, objects: Sequence[LandedObject]) -> Column:
    """A condition that selects the rows of these objects (of one month, in key order) and few others."""
    odd = [landed.key for landed in objects if not landed.time]
    source_file = fn.col("source_file")
    parts = [of_objects(odd)] if odd else []
    for _, group in groupby((landed for landed in objects if landed.time), key=lambda landed: landed.series):
        keys = [landed.key for landed in group]
        parts.append(source_file.between(keys[0], keys[-1]))
    return in_month(month) & reduce(or_, parts)


def _between(since: datetime, until: datetime, series: Collection[str]) -> Column:
    """A condition that excludes what is known to lie outside: other months, and other times of these series."""
    source_file = fn.col("source_file")
    conditions = [reduce(or_, (in_month(month) for month in months_of_names(since, until)))]
    for name in sorted(series):
        first, end = key_span(name)
        conditions.append((source_file < first) | (source_file >= key_at(name, since)))
        conditions.append((source_file < key_at(name, until + timedelta(seconds=1))) | (source_file >= end))
    return reduce(and_, conditions)


def in_month(month: Month, prefix: str = "") -> Column:
    """The condition of one month's partition; ``prefix`` comes before the names of its columns."""
    return (fn.col(f"{prefix}partition_0") == month.year) & (fn.col(f"{prefix}partition_1") == month.number)


def of_objects(keys: Iterable[str]) -> Column:
    """The condition of these objects' rows, in lists that are short enough to be compared with the files' bounds."""
    ordered = sorted(keys)
    chunks = [ordered[start : start + _IN_LIMIT] for start in range(0, len(ordered), _IN_LIMIT)]
    source_file = fn.col("source_file")
    return reduce(or_, (source_file.isin(chunk) for chunk in chunks))


def _quarantined_copies(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Parse the events of quarantined copies from their text again."""
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
