"""Iceberg tables in the Glue catalog: made once, replaced by validated commits.

Plain appends and overwrites are rebased silently on commits of others; every write here names the snapshot it was
computed from and is refused when rows that it replaces have changed since (Iceberg's write options
``validate-from-snapshot-id`` and ``isolation-level``).
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
PAUSE_SECONDS = 1.0  # before the second attempt; doubled before each further one, and spread by half either way

_PROPERTIES = {
    "format-version": "2",
    "write.format.default": "parquet",
    "write.parquet.compression-codec": "zstd",
    "write.metadata.delete-after-commit.enabled": "true",  # hourly commits would pile up metadata files for ever
    # A manifest of this size (a third is its header) lists some 300 data files, two weeks of hourly commits, and a run
    # opens those that span its months; one of the default 8 MB would span years, and every run would read it.
    "commit.manifest.target-size-bytes": "32768",
    "commit.manifest.min-count-to-merge": "4",
}
# Bounds are cut at 16 characters by default, which all keys have in common: nothing would be pruned.
_SOURCE_FILE_BOUNDS = {"write.metadata.metrics.column.source_file": "full"}
_CONFLICTS = ("ValidationException", "CommitFailedException", "ConcurrentModificationException")
_UNKNOWN_OUTCOME = "CommitStateUnknownException"

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
    snapshot = refreshed(spark, table).currentSnapshot()
    return snapshot.snapshotId() if snapshot else None


def refreshed(spark: SparkSession, table: Table) -> Any:
    """The session's own ``org.apache.iceberg.Table``, as the catalog has it now; so are its metadata tables then.

    That asks the catalog, and opens the table's metadata only if they have changed; ``REFRESH TABLE`` reads them anew
    each time, and a query of a metadata table is a plan more.
    """
    jvm: Any = spark._jvm
    # Spark takes the settings of a catalog that is used for the first time from the thread's active session.
    jvm.org.apache.spark.sql.SparkSession.setActiveSession(spark._jsparkSession)
    loaded = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, identifier(table))
    loaded.refresh()
    return loaded


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
    commit = uuid.uuid4().hex
    writer = _writer(rows, table, {**properties, "commit-id": commit}).option("isolation-level", "serializable")
    if snapshot is not None:
        writer = writer.option("validate-from-snapshot-id", str(snapshot))
    return _committed(rows.sparkSession, table, commit, lambda: writer.overwrite(condition))


def append_rows(rows: DataFrame, table: Table, properties: Mapping[str, str]) -> int:
    """Add rows in one commit, whatever others commit meanwhile; return its snapshot id. Raises Conflict as above."""
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
    """Write; return the snapshot that bears the id ``commit``.

    A commit of unknown outcome (the catalog did not answer) is looked for before anything else is done: it may stand.
    If it does not stand it is a Conflict: whatever comes next reads afresh, and Iceberg refuses one of the two should
    it arrive late after all.
    """
    try:
        with refused_as_conflict(table):
            write()
    except Py4JJavaError as error:
        if _UNKNOWN_OUTCOME not in str(error):
            raise
        found = _find_commit(spark, table, commit)
        _log.warning(
            "%s: unknown outcome of commit %s: it %s", table.full_name, commit, "stands" if found else "failed"
        )
        if found is None:
            raise Conflict(f"{table.full_name}: {_first_line(error)}") from error
        return found
    found = _find_commit(spark, table, commit)
    if found is None:
        raise RuntimeError(f"{table.full_name}: the commit {commit} is not among the table's snapshots")
    return found


def _find_commit(spark: SparkSession, table: Table, commit: str) -> int | None:
    """The snapshot that bears this id, among the current one and those before it, as long as they are kept."""
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
    """Run a step that reads afresh and commits; repeat it on Conflict after a pause, ``ATTEMPTS`` times in all."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return step()
        except Conflict as conflict:
            _log.warning("attempt %d of %d: %s", attempt, ATTEMPTS, conflict)
            if attempt == ATTEMPTS:
                raise
            # Spread, or twins that refused each other would meet again.
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
    raise AssertionError("unreachable")


def _first_line(error: Py4JJavaError) -> str:
    cause = error.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    return str(cause.getMessage()).splitlines()[0]
