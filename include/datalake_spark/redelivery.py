"""Which copies of an event count. Firehose delivers at least once: a redelivered batch has a new object name.

Copies are rows with one ``event_id``; their rank is (object_time, source_file, source_line). A copy counts unless
another precedes it by at most 48 hours: then it is a duplicate, or, when none of those has the same content, in
conflict. The rule looks 48 hours back and no further, so hourly runs in any order and a rebuild agree.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as fn

from datalake.events import CONFLICT, DUPLICATE
from datalake_spark.landed_lines import CONTENT

WINDOW_SECONDS = 48 * 3600

RANK = ("object_time", "source_file", "source_line")
# fresh: its object is new to the tables. mine: this step writes it.
COPY = ("event_id", *CONTENT, *RANK, "fresh", "mine")


def shared_copies(mine: DataFrame, others: DataFrame | None) -> DataFrame:
    """The copies (``COPY``) of each event of ``mine`` that occurs more than once in both; NULL ids never do."""
    ids = mine.where("event_id IS NOT NULL").select("event_id")
    repeated = ids.groupBy("event_id").count().where("count > 1").select("event_id")
    if others is None:
        return mine.join(repeated, "event_id", "left_semi").select(*COPY)
    theirs = others.join(ids, "event_id", "left_semi").select(*COPY)
    shared = repeated.union(theirs.select("event_id"))
    return mine.join(shared, "event_id", "left_semi").select(*COPY).union(theirs)


def judge(copies: DataFrame) -> DataFrame:
    """``copies`` with ``verdict`` (NULL when the copy counts) and ``displaced``.

    ``displaced`` marks a copy that is in the tables already, and that a fresh one precedes: its month must be written
    again.
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
