"""Maintenance of an Iceberg table: compact small files, expire old snapshots, remove files that killed jobs left.

No row changes. Each step is a commit of its own. If a writer has replaced the files that it works on, Iceberg refuses
the commit and the step is tried again. A step that is killed leaves files that no snapshot names; a later run removes
these orphans.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as fn

from datalake.landing import key_at, parse_key, watermark
from datalake.months import Month
from datalake.run_reports import ReplacingCommit, TableMaintenance, TableSize
from datalake.schemas import Table
from datalake_spark.committed_tables import CommittedTables
from datalake_spark.iceberg import (
    CATALOG,
    current_snapshot,
    identifier,
    read_snapshot,
    refreshed,
    refused_as_conflict,
    retried,
)
from datalake_spark.redelivery import WINDOW_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

TARGET_BYTES = 512 * 2**20
SMALL_BYTES = TARGET_BYTES * 3 // 4  # Iceberg's own limit below which a file is worth rewriting
MANY = 5  # fewer small files than this are left as they are
_DELETE_LIMIT = 1000  # keys in one DeleteObjects
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """What is kept: snapshots up to this age, so many snapshots whatever their age, and orphans up to this age."""

    snapshot_age: timedelta
    snapshots: int
    orphan_age: timedelta


@dataclass(frozen=True)
class DataFile:
    """One data file: its month, its smallest and largest ``source_file``, its size in bytes."""

    month: Month
    low: str
    high: str
    size: int


@dataclass(frozen=True)
class Span:
    """Data files of one series and month to be compacted; no other file of the month has a key in [low, high]."""

    month: Month
    low: str
    high: str


def compact_before(spark: SparkSession, now: datetime) -> datetime | None:
    """Hourly runs may read files with keys of this time or later, so only older ones are compacted; None: no file is.

    Hourly runs list names from the watermark on, and look for copies of each object in the 48 hours before it.
    """
    newest = CommittedTables(spark).newest()
    listed_from = watermark(newest, now) if newest else None
    return listed_from - timedelta(seconds=WINDOW_SECONDS) if listed_from else None


def maintain(
    spark: SparkSession, s3: S3Client, table: Table, before: datetime | None, keep: Retention
) -> TableMaintenance:
    """Do all steps on one table; returns what was done, with the rows before and after each commit of a compaction.

    Of a table without ``source_file``, which every run replaces whole, only orphans are removed. Its snapshots stay:
    they show which version of the catalogue the rows of the other tables were enriched with.

    Args:
        spark: a session with the Iceberg catalog ``glue_catalog``.
        s3: a client that may delete the table's objects.
        table: one of the curated zone.
        before: only files whose keys are all older are compacted; None: no file is.
        keep: what is not removed.

    Raises:
        Conflict: writers interfered with each attempt; the steps before it stay committed.
    """
    first = measure(spark, table)
    known = {row.snapshot_id for row in _snapshots(spark, table)}
    grows = "source_file" in table.column_names
    if grows and before:
        retried(lambda: compact(spark, table, before))
    commits = _replacing_commits(_snapshots(spark, table), known)
    now = datetime.now(UTC)
    if grows:
        retried(lambda: expire_snapshots(spark, table, now - keep.snapshot_age, keep.snapshots))
    orphans = find_orphans(spark, table, now - keep.orphan_age)
    removed = remove_objects(s3, orphans)
    return {
        "table": table.full_name,
        "before": first,
        "after": measure(spark, table),
        "orphans_found": len(orphans),
        "orphans_removed": removed,
        "commits": commits,
    }


def measure(spark: SparkSession, table: Table) -> TableSize:
    """The table's present size."""
    snapshot = current_snapshot(spark, table)
    files = read_snapshot(spark, table, snapshot, "files")
    row = files.agg(fn.count("*"), fn.coalesce(fn.sum("file_size_in_bytes"), fn.lit(0))).collect()[0]
    return {"files": row[0], "bytes": row[1], "snapshots": len(_snapshots(spark, table))}


def compact(spark: SparkSession, table: Table, before: datetime) -> None:
    """Compact small files where there are many, each month and series by itself.

    Raises:
        Conflict: a writer has replaced one of the files meanwhile.
    """
    for span in plan_spans(_data_files(spark, table), before):
        where = (
            f"partition_0 = {_literal(span.month.year)} AND partition_1 = {_literal(span.month.number)} "
            f"AND source_file >= {_literal(span.low)} AND source_file <= {_literal(span.high)}"
        )
        options = f"map('target-file-size-bytes', '{TARGET_BYTES}', 'min-input-files', '{MANY}')"
        (result,) = _call(spark, table, "rewrite_data_files", where=_literal(where), options=options)
        _log.info("%s %s: %s", table.full_name, span, result.asDict())


def plan_spans(files: Iterable[DataFile], before: datetime) -> list[Span]:
    """The spans of files where compaction is worthwhile and does not affect hourly runs.

    Left as they are: a file that mixes series, as its bounds enclose every later key of its first series; a file that
    overlaps a young one, as no condition selects the one without the other; and files with keys that hold no time.
    """
    spans = []
    for month, of_month in groupby(sorted(files, key=lambda f: (f.month, f.low, f.high)), key=lambda f: f.month):
        overlapping: list[list[DataFile]] = []
        reach = ""
        for file in of_month:
            if overlapping and file.low <= reach:
                overlapping[-1].append(file)
            else:
                overlapping.append([file])
            reach = max(reach, file.high)
        for series, blocks in groupby(overlapping, key=lambda block: _settled_series(block, before)):
            members = [file for block in blocks for file in block]
            if series and sum(file.size < SMALL_BYTES for file in members) >= MANY:
                spans.append(Span(month, members[0].low, max(file.high for file in members)))
    return spans


def _settled_series(files: Iterable[DataFile], before: datetime) -> str | None:
    """The series of these files if it is one and all their keys have a time before ``before``; else None."""
    found = set()
    for file in files:
        low, high = parse_key(file.low), parse_key(file.high)
        settled = low.time and high.time and low.series == high.series and file.high < key_at(high.series, before)
        found.add(high.series if settled else None)
    return found.pop() if len(found) == 1 else None


def expire_snapshots(spark: SparkSession, table: Table, older_than: datetime, retain_last: int) -> None:
    """Remove old snapshots and the files that only they name; the last ``retain_last`` stay whatever their age."""
    _call(spark, table, "expire_snapshots", older_than=_timestamp(older_than), retain_last=str(retain_last))


def find_orphans(spark: SparkSession, table: Table, older_than: datetime) -> list[str]:
    """URLs of the objects under the table's location that no snapshot names and that are older.

    Iceberg refuses an ``older_than`` of less than 24 hours ago.
    """
    found = _call(spark, table, "remove_orphan_files", older_than=_timestamp(older_than), dry_run="true")
    return [row.orphan_file_location for row in found]


def remove_objects(s3: S3Client, urls: Iterable[str]) -> int:
    """Delete objects (s3://bucket/key, all of one bucket); returns how many. Raises RuntimeError if one is left."""
    places = [urlsplit(url, allow_fragments=False) for url in urls]
    for start in range(0, len(places), _DELETE_LIMIT):
        chunk = places[start : start + _DELETE_LIMIT]
        objects: list[ObjectIdentifierTypeDef] = [{"Key": place.path.removeprefix("/")} for place in chunk]
        reply = s3.delete_objects(Bucket=chunk[0].netloc, Delete={"Objects": objects, "Quiet": True})
        if errors := reply.get("Errors"):
            raise RuntimeError(f"{len(errors)} of {len(chunk)} objects were not deleted, e.g. {errors[0]}")
    return len(places)


def _call(spark: SparkSession, table: Table, procedure: str, **arguments: str) -> list[Row]:
    """Call one of Iceberg's procedures; the arguments are SQL expressions. Raises Conflict."""
    given = ", ".join(f"{name} => {value}" for name, value in {"table": _literal(table.full_name), **arguments}.items())
    with refused_as_conflict(table):
        return spark.sql(f"CALL {CATALOG}.system.{procedure}({given})").collect()


def _literal(text: str) -> str:
    """A text as a literal of Spark SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _timestamp(time: datetime) -> str:
    """A time as a literal of Spark SQL, in whole seconds, with its zone so that the session's does not matter."""
    return f"TIMESTAMP '{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z'"


def _data_files(spark: SparkSession, table: Table) -> list[DataFile]:
    files = read_snapshot(spark, table, current_snapshot(spark, table), "files")
    bounds = "readable_metrics.source_file"
    columns = ("partition.partition_0", "partition.partition_1", f"{bounds}.lower_bound", f"{bounds}.upper_bound")
    rows = files.select(*columns, "file_size_in_bytes").collect()
    return [DataFile(Month(year, number), low, high, size) for year, number, low, high, size in rows]


def _snapshots(spark: SparkSession, table: Table) -> list[Row]:
    refreshed(spark, table)
    return spark.table(f"{identifier(table)}.snapshots").collect()


def _replacing_commits(snapshots: Iterable[Row], known: set[int]) -> list[ReplacingCommit]:
    """The rows before and after each commit of Iceberg's operation ``replace`` whose snapshot is not ``known``."""
    rows = {snapshot.snapshot_id: int(snapshot.summary["total-records"]) for snapshot in snapshots}
    return [
        {
            "snapshot_id": snapshot.snapshot_id,
            "rows_before": rows[snapshot.parent_id],
            "rows_after": rows[snapshot.snapshot_id],
        }
        for snapshot in snapshots
        if snapshot.operation == "replace" and snapshot.snapshot_id not in known
    ]
