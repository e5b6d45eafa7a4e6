"""A past for a table, in its metadata alone: data files that nobody wrote, so a run that opens one fails."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pyspark.sql import SparkSession

from datalake.schemas import Table
from datalake_spark.iceberg import identifier
from tests.glue.lake import key

DAYS_A_COMMIT = 10


def add_days(spark: SparkSession, table: Table, days: Iterable[datetime]) -> None:
    """A file of one object's rows for each day, ``DAYS_A_COMMIT`` in a commit; all else as in a file that it has."""
    java: Any = spark._jvm
    iceberg = java.org.apache.iceberg
    spark.catalog.refreshTable(identifier(table))
    loaded = iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, identifier(table))
    files = loaded.newScan().includeColumnStats().planFiles()
    model = files.iterator().next().file()
    files.close()
    column = loaded.schema().findField("source_file")
    append = None
    for number, day in enumerate(days):
        if append is None:
            append = loaded.newAppend()
        bounds = iceberg.types.Conversions.toByteBuffer(column.type(), key(day))
        low, high = (java.java.util.HashMap(held) for held in (model.lowerBounds(), model.upperBounds()))
        low.put(column.fieldId(), bounds)
        high.put(column.fieldId(), bounds)
        metrics = iceberg.Metrics(
            model.recordCount(),
            model.columnSizes(),
            model.valueCounts(),
            model.nullValueCounts(),
            model.nanValueCounts(),
            low,
            high,
        )
        month = f"partition_0={day:%Y}/partition_1={day:%m}"
        builder = iceberg.DataFiles.builder(loaded.spec()).copy(model).withMetrics(metrics).withPartitionPath(month)
        path = f"{loaded.location()}/data/{month}/{uuid.uuid4()}.parquet"
        append.appendFile(builder.withPath(path).build())
        if number % DAYS_A_COMMIT == DAYS_A_COMMIT - 1:
            append.commit()
            append = None
    if append is not None:
        append.commit()
    # As the lake's maintenance does: each snapshot kept adds a kilobyte to a file that is read at every commit.
    expiry = loaded.expireSnapshots().expireOlderThan(java.java.lang.System.currentTimeMillis()).retainLast(1)
    expiry.cleanExpiredFiles(False).commit()
