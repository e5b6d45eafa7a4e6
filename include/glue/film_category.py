"""Glue job: sakila.film, sakila.film_category and sakila.category -> curated.film_category.

There is one row for each film, with its category or with NULLs if it has none (left joins, as in the original system).
The content of the table is replaced in one commit. The job fails and changes nothing when there is no film, or when a
film has two rows, which would double that film's events in the enrichment.

Arguments: --clean_bucket, --curated_bucket; AWS adds --JOB_RUN_ID and others.
Report: s3://<curated>/runs/film_category/<run id>.json with films, categories, snapshot_id.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

import boto3
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn

from datalake.run_reports import FilmCategoryReport, write_report
from datalake.tables import FILM_CATEGORY, SAKILA
from datalake_spark import iceberg, job_log

JOB = "film_category"
_log = logging.getLogger(JOB)


class UnusableFilms(Exception):
    """The clean tables do not give exactly one row for each film."""


def denormalise(film: DataFrame, film_category: DataFrame, category: DataFrame) -> DataFrame:
    """Every film with its category: the columns of ``curated.film_category``, in order."""
    links = film_category.select("film_id", "category_id")
    names = category.select("category_id", fn.col("name").alias("category_name"))
    joined = film.join(links, "film_id", "left").join(names, "category_id", "left")
    return joined.select(*(fn.col(column.name).cast(column.type) for column in FILM_CATEGORY.columns))


def check(films: DataFrame) -> tuple[int, int]:
    """Count films and categories; raises UnusableFilms when there are none, or when a film has more than one row."""
    repeated = films.groupBy("film_id").count().where("count > 1").orderBy("film_id").limit(10).collect()
    if repeated:
        ids = ", ".join(str(row.film_id) for row in repeated)
        raise UnusableFilms(f"films with more than one row (with two categories, or loaded twice): {ids}")
    counts = films.agg(fn.count("*").alias("films"), fn.countDistinct("category_id").alias("categories")).first()
    if counts is None or not counts.films:
        raise UnusableFilms("sakila.film has no row")
    return counts.films, counts.categories


def read_clean(spark: SparkSession, name: str, bucket: str) -> DataFrame:
    """One Sakila table of the clean zone, with its declared types."""
    table = SAKILA[name]
    return spark.read.schema(table.spark_ddl()).parquet(f"s3://{bucket}/{table.prefix}")


def run(spark: SparkSession, clean_bucket: str, curated_bucket: str, run_id: str) -> FilmCategoryReport:
    """Replace curated.film_category; returns the run's report."""
    film, film_category, category = (
        read_clean(spark, name, clean_bucket) for name in ("film", "film_category", "category")
    )
    films = denormalise(film, film_category, category).coalesce(1).persist()
    try:
        watch = job_log.Stopwatch(_log)
        film_count, category_count = check(films)
        watch.lap(f"{film_count} films of {category_count} categories read and checked")
        iceberg.create_table(spark, FILM_CATEGORY, curated_bucket)
        snapshot = iceberg.retried(lambda: _replace(films, run_id))
        watch.lap(f"{FILM_CATEGORY.full_name} committed")
    finally:
        films.unpersist()
    return {"job": JOB, "run_id": run_id, "films": film_count, "categories": category_count, "snapshot_id": snapshot}


def _replace(films: DataFrame, run_id: str) -> int:
    snapshot = iceberg.current_snapshot(films.sparkSession, FILM_CATEGORY)
    return iceberg.replace_rows(films, FILM_CATEGORY, fn.lit(True), snapshot, {"run-id": run_id})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the job as Glue does."""
    job_log.begin(JOB)
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("--clean_bucket", "--curated_bucket", "--JOB_RUN_ID"):
        parser.add_argument(name, required=True)
    args, _ = parser.parse_known_args(arguments)
    spark = SparkSession.builder.getOrCreate()
    report = run(spark, args.clean_bucket, args.curated_bucket, args.JOB_RUN_ID)
    write_report(boto3.client("s3"), args.curated_bucket, report)
    job_log.write(_log, report)


if __name__ == "__main__":
    main()
