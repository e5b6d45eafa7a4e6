"""Iceberg tables in the Glue catalog: created once, changed by validated commits.

Iceberg silently rebases plain appends and overwrites on the commits of others. So every replacement here names the
snapshot that it was computed from, and Iceberg refuses it when rows that it replaces have changed since (its write
options ``validate-from-snapshot-id`` and ``isolation-level``).
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.sql import Column, DataFrame, DataFrameWriterV2, SparkSession
from pyspark.sql import functions as fn

from datalake.schemas import Table

CATALOG = "glue_catalog"
ATTEMPTS = 4
PAUSE_SECONDS = 1.0  # before the second attempt, doubled before each further one; varied at random by half

_PROPERTIES = {
    "format-version": "2",
    "write.format.default": "parquet",
    "write.parquet.compression-codec": "zstd",
    "write.metadata.delete-after-commit.enabled": "true",  # else hourly commits would accumulate metadata files
    # A manifest of this size, of which a third is its header, lists some 300 data files: two weeks of hourly commits. A
    # run reads the manifests that span its months; one of the default size, 8 MB, would span years.
    "commit.manifest.target-size-bytes": "32768",
    "commit.manifest.min-count-to-merge": "4",
}
# By default bounds are cut to 16 characters, which all keys have in common, so that no file would be pruned.
_SOURCE_FILE_BOUNDS = {"write.metadata.metrics.column.source_file": "full"}
_CONFLICTS = ("ValidationException", "CommitFailedException", "ConcurrentModificationException")
_UNKNOWN_OUTCOME = "CommitStateUnknownException"

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class Conflict(Exception):
    """Another commit has changed what a write was computed from; nothing was written."""


def identifier(table: Table) -> str:
    """The table's name in Spark SQL."""
    return f"{CATALOG}.{table.full_name}"


def create_table(spark: SparkSession, table: Table, bucket: str) -> None:
    """Create the table in ``bucket`` unless it exists."""
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
    """The table's current snapshot according to the catalog; None if nothing has been committed yet."""
    snapshot = refreshed(spark, table).currentSnapshot()
    return snapshot.snapshotId() if snapshot else None


def refreshed(spark: SparkSession, table: Table) -> Any:
    """The session's ``org.apache.iceberg.Table``, refreshed from the catalog, and with it its metadata tables.

    The metadata file is read only if it has changed. ``REFRESH TABLE`` would read it each time, and a query of a
    metadata table would need a plan of its own.
    """
    jvm: Any = spark._jvm
    # When a catalog is first used, Spark takes its settings from the thread's active session.
    jvm.org.apache.spark.sql.SparkSession.setActiveSession(spark._jsparkSession)
    loaded = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, identifier(table))
    loaded.refresh()
    return loaded


def read_snapshot(spark: SparkSession, table: Table, snapshot: int | None, metadata: str = "") -> DataFrame:
    """The table, or one of its metadata tables (``files``, ...), at a snapshot; it has no rows when that is None."""
    name = f"{identifier(table)}.{metadata}" if metadata else identifier(table)
    if snapshot is None:
        return spark.table(name).where(fn.lit(False))
    return spark.read.option("snapshot-id", str(snapshot)).table(name)


def replace_rows(
    rows: DataFrame, table: Table, condition: Column, snapshot: int | None, properties: Mapping[str, str]
) -> int:
    """Replace the rows that meet ``condition`` by ``rows`` in one commit; return its snapshot id.

    Args:
        rows: the new rows, with the table's columns. Each partition of the frame becomes one data file.
        table: the table to write.
        condition: must cover data files whole or not at all, as Iceberg removes whole files here.
        snapshot: the snapshot that ``rows`` was computed from; None if the table was empty.
        properties: stored in the summary of the new snapshot.

    Raises:
        Conflict: a file that may hold such rows was added since, or a file also holds other rows.
    """
    commit = uuid.uuid4().hex
    writer = _writer(rows, table, {**properties, "commit-id": commit}).option("isolation-level", "serializable")
    if snapshot is not None:
        writer = writer.option("validate-from-snapshot-id", str(snapshot))
    return _committed(rows.sparkSession, table, commit, lambda: writer.overwrite(condition))


def append_rows(rows: DataFrame, table: Table, properties: Mapping[str, str]) -> int:
    """Add rows in one commit, whatever others commit meanwhile; return its snapshot id. Raises Conflict."""
    commit = uuid.uuid4().hex
    writer = _writer(rows, table, {**properties, "commit-id": commit})
    return _committed(rows.sparkSession, table, commit, writer.append)


def _writer(rows: DataFrame, table: Table, properties: Mapping[str, str]) -> DataFrameWriterV2:
    # One month is written at a time, so neither a shuffle nor a sort by partition is needed.
    writer = rows.writeTo(identifier(table)).option("use-table-distribution-and-ordering", "false")
    writer = writer.option("fanout-enabled", "true")
    for name, value in properties.items():
        writer = writer.option(f"snapshot-property.{name}", value)
    return writer


def _committed(spark: SparkSession, table: Table, commit: str, write: Callable[[], None]) -> int:
    """Write; return the snapshot that has the id ``commit`` in its summary.

    If the catalog did not answer, the outcome of the commit is unknown, and its snapshot is looked for. If it is not
    there, that is a Conflict: the next attempt reads the table again, and should the commit still arrive, Iceberg
    refuses one of the two.
    """
    try:
        with refused_as_conflict(table):
            write()
    except Py4JJavaError as error:
        if _UNKNOWN_OUTCOME not in str(error):
            raise
        found = _find_commit(spark, table, commit)
        outcome = "succeeded" if found else "failed"
        _log.warning("%s: the outcome of commit %s was unknown: it has %s", table.full_name, commit, outcome)
        if found is None:
            raise Conflict(f"{table.full_name}: {_first_line(error)}") from error
        return found
    found = _find_commit(spark, table, commit)
    if found is None:
        raise RuntimeError(f"{table.full_name}: the commit {commit} is not among the table's snapshots")
    return found


def _find_commit(spark: SparkSession, table: Table, commit: str) -> int | None:
    """The snapshot with this commit id, if it is the current one or one of its kept ancestors."""
    loaded = refreshed(spark, table)
    snapshot = loaded.currentSnapshot()
    while snapshot and snapshot.summary().get("commit-id") != commit:
        parent = snapshot.parentId()
        snapshot = loaded.snapshot(parent) if parent is not None else None
    return int(snapshot.snapshotId()) if snapshot else None


@contextmanager
def refused_as_conflict(table: Table) -> Iterator[None]:
    """Turn Iceberg's refusal of a commit into Conflict; other errors pass through."""
    try:
        yield
    except Py4JJavaError as error:
        text = str(error)
        if _UNKNOWN_OUTCOME not in text and any(name in text for name in _CONFLICTS):
            raise Conflict(f"{table.full_name}: {_first_line(error)}") from error
        raise


def retried(step: Callable[[], Result]) -> Result:
    """Run a step that reads the tables and commits; on Conflict repeat it after a pause, up to ``ATTEMPTS`` times."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return step()
        except Conflict as conflict:
            _log.warning("attempt %d of %d: %s", attempt, ATTEMPTS, conflict)
            if attempt == ATTEMPTS:
                raise
            # The pause is random, or two concurrent runs that conflicted would conflict again.
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
    raise AssertionError("unreachable")


def _first_line(error: Py4JJavaError) -> str:
    cause = error.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    return str(cause.getMessage()).splitlines()[0]
