"""Which copies of an event count. Firehose delivers at least once: a redelivered batch has a new object name.

Copies are rows with the same ``event_id``; they are ordered by (object_time, source_file, source_line). A copy counts
unless another copy precedes it by at most 48 hours. Then it is a duplicate, or a conflict if none of those has the same
content. As the rule looks back 48 hours and no further, hourly runs in any order and a rebuild give the same result.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as fn

from datalake.events import CONFLICT, DUPLICATE
from datalake_spark.landed_lines import CONTENT

WINDOW_SECONDS = 48 * 3600

RANK = ("object_time", "source_file", "source_line")
# fresh: its object is not done. mine: it is one of the rows that this step writes.
COPY = ("event_id", *CONTENT, *RANK, "fresh", "mine")


def shared_copies(mine: DataFrame, others: DataFrame | None) -> DataFrame:
    """All copies (``COPY``) of those events of ``mine`` that occur more than once in ``mine`` and ``others`` together.

    Rows without an id are never copies. Only hashes of the ids are shuffled, and the result is small: usually nothing,
    at most the redelivered batches. Two ids may have the same hash, as ``judge`` compares the ids themselves.
    """
    copies = _hashed(mine)
    hashes = copies.select("id_hash", fn.lit(True).alias("mine"))
    if others is not None:
        copies = copies.union(_hashed(others))
        hashes = hashes.union(_hashed(others).select("id_hash", fn.lit(False)))
    counts = hashes.groupBy("id_hash").agg(fn.count("*").alias("copies"), fn.max("mine").alias("mine"))
    shared = counts.where("copies > 1 AND mine").select("id_hash")
    return copies.join(fn.broadcast(shared), "id_hash", "left_semi").select(*COPY)


def _hashed(copies: DataFrame) -> DataFrame:
    return copies.where("event_id IS NOT NULL").select(*COPY, fn.xxhash64("event_id").alias("id_hash"))


def judge(copies: DataFrame) -> DataFrame:
    """``copies`` with two more columns: ``verdict`` (NULL when the copy counts) and ``displaced``.

    ``displaced`` marks a copy that is in the tables already and that a fresh one precedes: its month must be rewritten.
    """
    by_id = Window.partitionBy("event_id").orderBy(*RANK)
    by_content = Window.partitionBy("event_id", *CONTENT).orderBy(*RANK)
    fresh_time = fn.when(fn.col("fresh"), fn.col("object_time"))
    earlier_fresh = fn.last(fresh_time, ignorenulls=True).over(by_id.rowsBetween(Window.unboundedPreceding, -1))
    return copies.withColumns(
        {
            "verdict": fn.when(_recent(fn.lag("object_time").over(by_content)), DUPLICATE).when(
                _recent(fn.lag("object_time").over(by_id)), CONFLICT
            ),
            "displaced": ~fn.col("fresh") & fn.coalesce(_recent(earlier_fresh), fn.lit(False)),
        }
    )


def _recent(earlier: Column) -> Column:
    return fn.col("object_time") - earlier <= WINDOW_SECONDS
