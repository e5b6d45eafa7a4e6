"""From parsed lines to the rows of the two tables: pure functions on DataFrames of ``landed_lines.LINES``."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as fn

from datalake.events import REPAIRED_TWICE, SUPERSEDED
from datalake.tables import QUARANTINE, STREAMING_FILMS
from datalake_spark.redelivery import RANK

LINE = ["source_file", "source_line"]
MAX_UNKNOWN_FIELDS = 50


def apply_repairs(lines: DataFrame) -> DataFrame:
    """Give a reason to each good line that a repair supersedes, and to every repair of one line but the first.

    A repair may supersede a line of another repair. Repairs must be among ``lines`` to have an effect.
    """
    repairs = lines.where("reason IS NULL AND supersedes_file IS NOT NULL")
    superseded = repairs.select(
        fn.col("supersedes_file").alias("source_file"), fn.col("supersedes_line").alias("source_line")
    ).distinct()
    order = Window.partitionBy("supersedes_file", "supersedes_line").orderBy(*RANK)
    twice = repairs.withColumn("n", fn.row_number().over(order)).where("n > 1").select(*LINE)
    verdicts = superseded.withColumn("verdict", fn.lit(SUPERSEDED)).union(
        twice.join(superseded, LINE, "left_anti").withColumn("verdict", fn.lit(REPAIRED_TWICE))
    )
    return settle(lines, verdicts)


def settle(lines: DataFrame, verdicts: DataFrame) -> DataFrame:
    """Set ``reason`` where it is NULL and ``verdicts`` (source_file, source_line, verdict) name the line."""
    joined = lines.join(fn.broadcast(verdicts), LINE, "left")
    return joined.withColumn("reason", fn.coalesce("reason", "verdict")).select(*lines.columns)


def enrich(lines: DataFrame, films: DataFrame, month: str) -> DataFrame:
    """Rows of ``curated.streaming_films``: every good line with its film; an unknown film leaves NULLs."""
    return (
        lines.where("reason IS NULL")
        .withColumns(_partition(month))
        .join(fn.broadcast(films), fn.col("film_id_streaming") == fn.col("film_id"), "left")
        .select(*STREAMING_FILMS.column_names)
    )


def quarantine(lines: DataFrame, month: str) -> DataFrame:
    """Rows of the quarantine: every line with a reason; its text is ``raw``."""
    return lines.where("reason IS NOT NULL").withColumns(_partition(month)).select(*QUARANTINE.column_names)


def with_raw(lines: DataFrame, landed: DataFrame) -> DataFrame:
    """Fill ``raw`` and ``raw_encoding`` of ``lines`` from ``landed`` (``landed_lines.RAW``), where the lines lie."""
    wanted = lines.drop("raw", "raw_encoding")
    return landed.join(fn.broadcast(wanted), LINE).select(*lines.columns)


def count_lines(lines: DataFrame, films: DataFrame) -> DataFrame:
    """Lines by reason (NULL: enriched), by whether their film is unknown, and whether they have unknown fields."""
    known = films.select(fn.col("film_id").alias("known_film_id"))
    return (
        lines.join(fn.broadcast(known), fn.col("film_id_streaming") == fn.col("known_film_id"), "left")
        .groupBy(
            "reason",
            fn.expr("reason IS NULL AND known_film_id IS NULL").alias("unknown_film"),
            fn.expr("unknown_fields IS NOT NULL").alias("has_unknown_fields"),
        )
        .count()
    )


def count_unknown_fields(lines: DataFrame) -> DataFrame:
    """The most frequent unknown fields: field, count. A producer at fault can write any number of them."""
    fields = lines.select(fn.explode("unknown_fields").alias("field"))
    return fields.groupBy("field").count().orderBy(fn.desc("count"), "field").limit(MAX_UNKNOWN_FIELDS)


def _partition(month: str) -> dict[str, Column]:
    year, number = month.split("-")
    return {"partition_0": fn.lit(year), "partition_1": fn.lit(number)}
