"""From parsed lines to the rows of the two tables: pure functions on DataFrames of ``landed_lines.LINES``."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as fn

from datalake.events import NOT_WRONG, REPAIRED_TWICE, REPAIRS_NOTHING, SUPERSEDED
from datalake.months import Month
from datalake.tables import QUARANTINE, STREAMING_FILMS
from datalake_spark.redelivery import RANK

LINE = ["source_file", "source_line"]
MAX_UNKNOWN_FIELDS = 50


def apply_repairs(lines: DataFrame) -> DataFrame:
    """Give a reason to each line that good repairs supersede, and to all repairs of one JSON value but the first.

    The superseded line loses the reason that it had. A line of several values is superseded when each of them is
    repaired. A repair of a value that is not among ``lines`` is rejected, as it would add an event that never landed;
    so ``lines`` must hold the repairs and what they repair. A repair may supersede a line of another repair.
    """
    named = [fn.col("supersedes_file").alias("source_file"), fn.col("supersedes_line").alias("source_line")]
    repairs = lines.where("reason IS NULL AND supersedes_file IS NOT NULL")
    targets = repairs.select(named).distinct()
    targeted = lines.select(*LINE, "json_values").join(fn.broadcast(targets), LINE, "left_semi")
    order = Window.partitionBy("supersedes_file", "supersedes_line", "supersedes_index").orderBy(*RANK)
    numbered = repairs.withColumn("n", fn.row_number().over(order)).select(
        fn.struct(*LINE).alias("repair"), "n", "supersedes_index", *named
    )
    landed = fn.coalesce(fn.col("supersedes_index") <= fn.col("json_values"), fn.lit(False))
    numbered = numbered.join(targeted, LINE, "left").withColumn("landed", landed)
    judged = numbered.select(
        "repair.*",
        fn.when(~fn.col("landed"), REPAIRS_NOTHING).when(fn.col("n") > 1, REPAIRED_TWICE).alias("verdict"),
    )
    repaired = numbered.where("landed AND n = 1").groupBy(*LINE).agg(fn.count("*").alias("repaired"))
    superseded = targeted.join(repaired, LINE).where("repaired = json_values").select(*LINE)
    verdicts = superseded.withColumn("verdict", fn.lit(SUPERSEDED)).union(
        judged.where("verdict IS NOT NULL").join(superseded, LINE, "left_anti")
    )
    joined = lines.join(fn.broadcast(verdicts), LINE, "left")
    return joined.withColumn("reason", fn.coalesce("verdict", "reason")).select(*lines.columns)


def apply_verdicts(lines: DataFrame, verdicts: DataFrame) -> DataFrame:
    """Set each NULL ``reason`` to the line's verdict in ``verdicts`` (source_file, source_line, verdict), if any."""
    joined = lines.join(fn.broadcast(verdicts), LINE, "left")
    return joined.withColumn("reason", fn.coalesce("reason", "verdict")).select(*lines.columns)


def enrich(lines: DataFrame, films: DataFrame, month: Month) -> DataFrame:
    """Rows of ``curated.streaming_films``: every good line with its film, or with NULLs for an unknown film."""
    return (
        lines.where("reason IS NULL")
        .withColumns(_partition(month))
        .join(fn.broadcast(films), fn.col("film_id_streaming") == fn.col("film_id"), "left")
        .select(*STREAMING_FILMS.column_names)
    )


def quarantine(lines: DataFrame, month: Month) -> DataFrame:
    """Rows of the quarantine: every line with a reason, and its text in ``raw``."""
    return lines.where("reason IS NOT NULL").withColumns(_partition(month)).select(*QUARANTINE.column_names)


def with_raw(lines: DataFrame, landed: DataFrame) -> DataFrame:
    """Fill ``raw`` and ``raw_encoding`` of ``lines`` from ``landed`` (``landed_lines.RAW``), which holds them all."""
    wanted = lines.drop("raw", "raw_encoding")
    return landed.join(fn.broadcast(wanted), LINE).select(*lines.columns)


def count_fields(lines: DataFrame) -> DataFrame:
    """One row: the number of lines, of well-formed events, and of events with an id and with unknown fields.

    ``more_bad_values``: the JSON values on bad lines beyond the first of each line.
    """
    bad = fn.col("reason").isNotNull() & ~fn.col("reason").isin(*NOT_WRONG)
    return lines.agg(
        fn.coalesce(fn.sum(fn.when(bad, fn.col("json_values") - 1)), fn.lit(0)).alias("more_bad_values"),
        fn.count("*").alias("lines"),
        fn.count("timestamp").alias("events"),
        fn.count("event_id").alias("with_event_id"),
        fn.count("unknown_fields").alias("with_unknown_fields"),
    )


def count_unknown_fields(lines: DataFrame) -> DataFrame:
    """The most frequent unknown fields: field, count. There is a limit, as a faulty producer can write any number."""
    fields = lines.select(fn.explode("unknown_fields").alias("field"))
    return fields.groupBy("field").count().orderBy(fn.desc("count"), "field").limit(MAX_UNKNOWN_FIELDS)


def _partition(month: Month) -> dict[str, Column]:
    return {"partition_0": fn.lit(month.year), "partition_1": fn.lit(month.number)}
