"""Iceberg tables in the Glue catalog: made once, replaced by validated commits.

Plain appends and overwrites are rebased silently on commits of others; every write here names the snapshot it was
computed from and is refused when rows that it replaces have changed since (Iceberg's write options
``validate-from-snapshot-id`` and ``isolation-level``).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from datalake.schemas import Table

CATALOG = "glue_catalog"
ATTEMPTS = 3

_PROPERTIES = {
    "format-version": "2",
    "write.format.default": "parquet",
    "write.parquet.compression-codec": "zstd",
    "write.metadata.delete-after-commit.enabled": "true",  # hourly commits would pile up metadata files for ever
}
# Bounds are cut at 16 characters by default, which all keys have in common: nothing would be pruned.
_SOURCE_FILE_BOUNDS = {"write.metadata.metrics.column.source_file": "full"}
_CONFLICTS = ("ValidationException", "CommitFailedException", "ConcurrentModificationException")

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class Conflict(Exception):
    """Another commit changed what a write was computed from; nothing was written."""


def identifier(table: Table) -> str:
    """The table's name in Spark SQL."""
    return f"{CATALOG}.{table.full_name}"


def create_table(spark: SparkSession, table: Table, bucket: str) -> None:
    """Make the table in ``bucket`` unless it exists."""
    columns = ", ".join(
        f"`{c.name}` {c.type}" + (f" COMMENT '{c.comment}'" if c.comment else "") for c in table.columns
    )
    partitions = ", ".join(f"`{c.name}`" for c in table.partition_keys)
    settings = _PROPERTIES | (_SOURCE_FILE_BOUNDS if "source_file" in table.column_names else {})
    properties = ", ".join(f"'{name}' = '{value}'" for name, value in settings.items())
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS {identifier(table)} ({columns}) USING iceberg "
        + (f"PARTITIONED BY ({partitions}) " if partitions else "")
        + f"LOCATION 's3://{bucket}/{table.prefix.rstrip('/')}' "
        + f"TBLPROPERTIES ({properties})"
    )


def current_snapshot(spark: SparkSession, table: Table) -> int | None:
    """The table's current snapshot as the catalog has it now, None while nothing was ever committed."""
    spark.catalog.refreshTable(identifier(table))
    main = spark.table(f"{identifier(table)}.refs").where("name = 'main'").select("snapshot_id").first()
    return main["snapshot_id"] if main else None


def read_snapshot(spark: SparkSession, table: Table, snapshot: int | None, metadata: str = "") -> DataFrame:
    """The table, or one of its metadata tables (``files``, ...), as it was at a snapshot; no rows when that is None."""
    name = f"{identifier(table)}.{metadata}" if metadata else identifier(table)
    if snapshot is None:
        return spark.table(name).where(fn.lit(False))
    return spark.read.option("snapshot-id", str(snapshot)).table(name)


def replace_rows(
    rows: DataFrame, table: Table, condition: Column, snapshot: int | None, properties: Mapping[str, str]
) -> int:
    """Replace the rows under ``condition`` by ``rows`` in one commit; return its snapshot id.

    Args:
        rows: the table's columns; each task writes one file, so the caller decides how many there are.
        table: where to.
        condition: must cover whole data files, or none: Iceberg deletes by file here.
        snapshot: what ``rows`` was computed from; None for a table that was empty.
        properties: kept in the snapshot's summary.

    Raises:
        Conflict: a file that may hold such rows was added since, or one holds others too.
    """
    spark = rows.sparkSession
    commit = uuid.uuid4().hex
    writer = rows.writeTo(identifier(table)).option("isolation-level", "serializable")
    # One month is written at a time, so neither a shuffle nor a sort by partition is needed.
    writer = writer.option("use-table-distribution-and-ordering", "false").option("fanout-enabled", "true")
    if snapshot is not None:
        writer = writer.option("validate-from-snapshot-id", str(snapshot))
    for name, value in {**properties, "commit-id": commit}.items():
        writer = writer.option(f"snapshot-property.{name}", value)
    with refused_as_conflict(table):
        writer.overwrite(condition)
    made = spark.table(f"{identifier(table)}.snapshots").where(fn.col("summary")["commit-id"] == commit).first()
    if made is None:
        raise RuntimeError(f"{table.full_name}: the commit {commit} is not among the table's snapshots")
    return int(made["snapshot_id"])


@contextmanager
def refused_as_conflict(table: Table) -> Iterator[None]:
    """Turn Iceberg's refusal of a commit into Conflict; other errors pass through."""
    try:
        yield
    except Py4JJavaError as error:
        if any(name in str(error) for name in _CONFLICTS):
            raise Conflict(f"{table.full_name}: {_first_line(error)}") from error
        raise


def retried(step: Callable[[], Result]) -> Result:
    """Run a step that reads afresh and commits; repeat it on Conflict, three times in all."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return step()
        except Conflict as conflict:
            _log.warning("attempt %d of %d: %s", attempt, ATTEMPTS, conflict)
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _first_line(error: Py4JJavaError) -> str:
    cause = error.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    return str(cause.getMessage()).splitlines()[0]
