"""Landed objects as a DataFrame of lines: workers fetch whole objects and run the pure parser of ``datalake.events``.

They return Arrow batches to Spark. Nothing is shuffled, and the rows of a partition come from one series of objects, so
that later keys of that series lie outside the bounds of the data files written from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from math import ceil
from typing import Any

import boto3
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from datalake.events import Event, Line, parse_object
from datalake.json_lines import quarantine_text, split_lines
from datalake.landing import LandedObject

# One task reads this many bytes and writes one file; about 90 MB of Parquet.
TASK_BYTES = 512 * 2**20
# Up to this size, adding an object to a task is cheaper than adding a task.
SMALL_TASK_BYTES = 32 * 2**20
_FETCHERS = 8

_EVENT = "timestamp string, eventtype string, film_id_streaming int, distributor string, platform string, state string"
# One row for each line that is not blank. Either the event's columns are set, or reason, raw and raw_encoding.
# object_time: seconds since 1970 UTC, from the object's name. fresh: whether the object is not done. json_values: how
# many JSON values a bad line holds, 1 for a good line.
LINES = (
    f"{_EVENT}, event_id string, event_time string, source_file string, source_line int, object_time bigint, "
    "fresh boolean, reason string, raw string, raw_encoding string, json_values int, supersedes_file string, "
    "supersedes_line int, supersedes_index int, unknown_fields array<string>"
)
# LINES, and one more row for each object, with its key and ``landed``: the number of its lines that are not blank
OBJECTS = f"{LINES}, landed bigint"
RAW = "source_file string, source_line int, raw string, raw_encoding string"
# The fields that two copies of one event have in common
CONTENT = ("timestamp", "eventtype", "film_id_streaming", "distributor", "platform", "state")

_PARSED_TYPES = [pa.string(), pa.string(), pa.int32(), *[pa.string()] * 5]
_TAIL_TYPES = [
    *(pa.string(), pa.string(), pa.string(), pa.int32()),
    *(pa.string(), pa.int32(), pa.int32(), pa.list_(pa.string())),
]
_NO_EVENT = (None,) * len(_PARSED_TYPES)
_OBJECT_NAMES = [definition.split()[0] for definition in OBJECTS.split(", ")]
_RAW_NAMES = [definition.split()[0] for definition in RAW.split(", ")]


def read_objects(
    spark: SparkSession, bucket: str, objects: Sequence[LandedObject], fresh: Collection[str]
) -> DataFrame:
    """Every object and all its lines that are not blank: ``OBJECTS``. ``fresh`` are the keys that are not done."""
    fresh = frozenset(fresh)

    def batch(landed: LandedObject, body: bytes) -> pa.RecordBatch:
        return object_batch(landed, body, landed.key in fresh)

    return _read(spark, bucket, objects, batch, OBJECTS)


def lines_of(objects: DataFrame) -> DataFrame:
    """The lines (``LINES``) among ``OBJECTS``."""
    return objects.where("landed IS NULL").drop("landed")


def landed_counts(objects: DataFrame) -> dict[str, int]:
    """The number of lines that are not blank by object key, as it was counted from the bytes of ``OBJECTS``."""
    rows = objects.where("landed IS NOT NULL").select("source_file", "landed").collect()
    return {row.source_file: row.landed for row in rows}


def read_raw(spark: SparkSession, bucket: str, objects: Sequence[LandedObject]) -> DataFrame:
    """Every line of the objects that is not blank, as it landed: ``RAW``."""
    return _read(spark, bucket, objects, raw_batch, RAW)


def _read(
    spark: SparkSession,
    bucket: str,
    objects: Sequence[LandedObject],
    to_batch: Callable[[LandedObject, bytes], pa.RecordBatch],
    schema: str,
) -> DataFrame:
    tasks = plan_tasks(objects, spark.sparkContext.defaultParallelism)
    region = boto3.session.Session().region_name  # of the driver; a worker on Glue knows no region

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for task in batch.column(0).to_pylist():
                for landed, body in fetch(bucket, region, tasks[task]):
                    yield to_batch(landed, body)

    return spark.range(0, len(tasks), 1, max(len(tasks), 1)).mapInArrow(read, schema)


def plan_tasks(objects: Iterable[LandedObject], parallelism: int) -> list[list[LandedObject]]:
    """Divide objects, in key order, into tasks of one series each, of about equal size and ``TASK_BYTES`` at most.

    There are about ``parallelism`` tasks if the work is large enough for so many. An object is never divided.
    """
    ordered = sorted(objects, key=lambda landed: (landed.series, landed.key))
    share = sum(landed.size for landed in ordered) / max(parallelism, 1)
    limit = min(TASK_BYTES, max(SMALL_TASK_BYTES, share))
    tasks = []
    for _, group in groupby(ordered, key=lambda landed: landed.series):
        series = list(group)
        size = sum(landed.size for landed in series) or 1
        count = ceil(size / limit)
        cut: list[list[LandedObject]] = [[] for _ in range(count)]
        before = 0
        for landed in series:
            cut[min(before * count // size, count - 1)].append(landed)
            before += landed.size
        tasks += [task for task in cut if task]
    return tasks


def fetch(bucket: str, region: str | None, objects: Iterable[LandedObject]) -> Iterator[tuple[LandedObject, bytes]]:
    """Objects and their bytes, in order; a few are fetched at a time, so that their latencies overlap."""
    s3 = boto3.client("s3", region_name=region)

    def body(landed: LandedObject) -> tuple[LandedObject, bytes]:
        return landed, s3.get_object(Bucket=bucket, Key=landed.key)["Body"].read()

    rest = iter(objects)
    with ThreadPoolExecutor(_FETCHERS) as pool:
        while window := list(islice(rest, _FETCHERS)):
            yield from pool.map(body, window)


def object_batch(landed: LandedObject, body: bytes, fresh: bool) -> pa.RecordBatch:
    """One object as ``OBJECTS``: its lines, then the row with their number."""
    rows = [_row(line) for line in parse_object(landed.key, body)]
    rows.append((None,) * (len(_PARSED_TYPES) + 1 + len(_TAIL_TYPES)))
    count = len(rows)
    columns = list(zip(*rows, strict=True))
    split = len(_PARSED_TYPES)
    time = pa.scalar(int(landed.time.timestamp()) if landed.time else None, pa.int64())
    arrays = [
        *(pa.array(column, kind) for column, kind in zip(columns[:split], _PARSED_TYPES, strict=True)),
        pa.repeat(landed.key, count),
        pa.array(columns[split], pa.int32()),
        pa.repeat(time, count),
        pa.repeat(fresh, count),
        *(pa.array(column, kind) for column, kind in zip(columns[split + 1 :], _TAIL_TYPES, strict=True)),
        pa.array([*[None] * (count - 1), count_landed(body)], pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(arrays, _OBJECT_NAMES)


def count_landed(body: bytes) -> int:
    """The number of lines that are not blank, counted without the parser: its rows are reconciled with this number."""
    return sum(1 for line in body.split(b"\n") if line and not line.isspace())


def _row(line: Line) -> tuple[Any, ...]:
    outcome = line.outcome
    if isinstance(outcome, Event):
        superseded = outcome.supersedes or (None, None, None)
        content, no_reason = outcome[: len(_NO_EVENT)], (None, None, None, 1)
        return (*content, line.source_line, *no_reason, *superseded, outcome.unknown_fields or None)
    kept = quarantine_text(line.raw)
    return (*_NO_EVENT, line.source_line, outcome.reason, *kept, outcome.values, None, None, None, None)


def raw_batch(landed: LandedObject, body: bytes) -> pa.RecordBatch:
    """One object's lines as ``RAW``."""
    lines = list(split_lines(body))
    texts = [quarantine_text(raw) for _, raw in lines]
    arrays = [
        pa.repeat(landed.key, len(lines)),
        pa.array([number for number, _ in lines], pa.int32()),
        pa.array([text for text, _ in texts], pa.string()),
        pa.array([encoding for _, encoding in texts], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(arrays, _RAW_NAMES)
