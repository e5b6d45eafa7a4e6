"""What a job does, in small and without a service: spark-submit runs it while Java notes which classes are loaded.

It makes, writes and reads an Iceberg table as the lake's jobs do, and asks services at a port where nobody listens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as fn


def _echoed(batches: Iterable[Any]) -> Iterable[Any]:
    yield from batches


def main(folder: str) -> None:
    """Work in this folder, the warehouse of the catalog ``trained``."""
    spark = SparkSession.builder.getOrCreate()
    lines = spark.createDataFrame([(f'{{"id": {n}, "name": "n{n}"}}', n % 3) for n in range(100)], "line string, m int")
    lines.write.json(folder + "/lines")
    parsed = (
        spark.read.schema("line string, m int")
        .json(folder + "/lines")
        .mapInPandas(_echoed, "line string, m int")
        .withColumn("event", fn.from_json("line", "id bigint, name string"))
        .select("event.*", "m", fn.to_timestamp(fn.lit("2026-01-01 00:00:00")).alias("at"))
    )
    spark.sql(
        "CREATE TABLE trained.db.t (id bigint, name string, m int, at timestamp) USING iceberg PARTITIONED BY (m)"
    )
    first = parsed.withColumn("nth", fn.row_number().over(Window.partitionBy("id").orderBy("at"))).where("nth = 1")
    for _ in range(2):
        first.drop("nth").sortWithinPartitions("id").writeTo("trained.db.t").overwrite(fn.col("m") >= 0)
    table = spark.table("trained.db.t")
    films = spark.createDataFrame([(n, [f"actor {n}"]) for n in range(10)], "id bigint, actors array<string>").persist()
    table.join(fn.broadcast(films), "id", "left").groupBy("m").agg(fn.count("*"), fn.sum("id")).orderBy("m").collect()
    table.join(films, "id", "left_anti").groupBy("name").count().collect()
    print(f"{table.count()} rows", flush=True)
    spark.sql("SELECT * FROM trained.db.t.files").collect()
    spark.sql("SELECT * FROM trained.db.t.snapshots").collect()
    with suppress(PySparkException, Py4JJavaError):
        spark.sql("SELECT * FROM refused.db.t").collect()


if __name__ == "__main__":
    main(sys.argv[1])
