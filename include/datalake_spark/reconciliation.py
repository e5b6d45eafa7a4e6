"""Reconciles a step: each landed line of its objects must be exactly one committed row of the tables."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from datalake.landing import LandedObject
from datalake.tables import QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark import iceberg
from datalake_spark.report import Tally

_COUNTS = attrgetter("landed", "enriched", "quarantined", "duplicates", "unknown_films")
_log = logging.getLogger(__name__)


class Unreconciled(Exception):
    """The rows that the tables hold for an object do not match its landed lines."""


def count_rows(spark: SparkSession, snapshots: Mapping[str, int | None], conditions: Mapping[str, Column]) -> DataFrame:
    """Count the rows of both tables: source_file, reason (NULL: enriched), count, unknown_films.

    ``snapshots`` and ``conditions`` say by table name which snapshot to read and which rows to count. The conditions
    prune data files, so that little is read but what a step has just written.
    """
    films = iceberg.read_snapshot(spark, STREAMING_FILMS, snapshots[STREAMING_FILMS.name])
    quarantine = iceberg.read_snapshot(spark, QUARANTINE, snapshots[QUARANTINE.name])
    enriched = (
        films.where(conditions[STREAMING_FILMS.name])
        .groupBy("source_file")
        .agg(fn.count("*").alias("count"), fn.expr("count_if(film_id IS NULL)").alias("unknown_films"))
        .select("source_file", fn.lit(None).cast("string").alias("reason"), "count", "unknown_films")
    )
    rejected = quarantine.where(conditions[QUARANTINE.name]).groupBy("source_file", "reason").count()
    return enriched.union(rejected.withColumn("unknown_films", fn.lit(0).cast("bigint")))


def reconcile(objects: Collection[LandedObject], landed: Mapping[str, int], counted: DataFrame) -> dict[str, Tally]:
    """Compare for each object the lines counted in its bytes with the rows counted in the tables (``count_rows``).

    Raises:
        Unreconciled: names an object that does not add up, with its numbers, or that was not read. All are logged.
    """
    unread = [one.key for one in objects if one.key not in landed]
    if unread:
        raise Unreconciled(f"{len(unread)} of {len(objects)} objects were not read, e.g. {unread[0]}")
    tallies = {one.key: Tally(landed=landed[one.key]) for one in objects}
    for row in counted.collect():
        tally = tallies.setdefault(row.source_file, Tally())
        if row.reason is None:
            tally.enriched, tally.unknown_films = row["count"], row.unknown_films
        else:
            tally.reasons[row.reason] += row["count"]
    wrong = [f"{key}: {tally}" for key, tally in tallies.items() if not tally.adds_up]
    for text in wrong:
        _log.error("%s", text)
    if wrong:
        raise Unreconciled(f"{len(wrong)} of {len(tallies)} objects do not add up, e.g. {wrong[0]}")
    return tallies


def record(
    spark: SparkSession,
    objects: Iterable[LandedObject],
    tallies: Mapping[str, Tally],
    run_id: str,
    mode: str,
    committed_at: datetime,
    properties: Mapping[str, str],
) -> None:
    """Add one row for each object to RECONCILIATION in one commit; with it the objects are done.

    A data file holds one series of objects, as in the other tables: the bounds of a file with two series would enclose
    all later keys of the first.
    """
    ordered = sorted(objects, key=lambda one: (one.time is None, "" if one.time is None else one.series, one.key))
    if not ordered:
        return
    written = f"{committed_at:%Y-%m-%dT%H:%M:%SZ}"
    files = [
        [
            (run_id, mode, written, one.key, *_COUNTS(tallies[one.key]), one.month.year, one.month.number)
            for one in group
        ]
        for _, group in groupby(ordered, key=lambda one: one.series if one.time else None)
    ]
    rows = spark.sparkContext.parallelize(files, len(files)).flatMap(list)
    iceberg.append_rows(spark.createDataFrame(rows, RECONCILIATION.spark_ddl()), RECONCILIATION, properties)
