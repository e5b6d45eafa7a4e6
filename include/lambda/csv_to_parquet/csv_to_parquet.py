"""Lambda function: each CSV object that DMS lands becomes one Parquet object of the clean zone.

``dms/sakila/film/LOAD00000001.csv`` in the landing bucket becomes ``sakila/film/LOAD00000001.parquet`` in the clean
bucket, and the table ``sakila.film`` is declared in the Glue catalog. The name is derived and the bytes depend only on
the source, so a repeated or late notification writes the same object again, or nothing. Nothing is appended or deleted.

Notifications may be repeated and out of order, and two workers may convert one object at the same time. So each write
names the Parquet object that it replaces: the one that was there *before* its CSV was read (If-Match). S3 refuses the
write if that object is no longer there. So a slow worker never replaces the Parquet object of a newer CSV.

The function is called by SQS (the bodies are S3 notifications; it returns partial batch failures) or by S3 itself (it
raises an error when an object fails). Environment: CLEAN_BUCKET. The metadata of a Parquet object say what it was made
of: ``source-etag``, ``source-rows`` and, if a notification had one, ``source-sequencer``, the newest. The file also
holds the version id of the CSV, so that two versions of a CSV with the same bytes give Parquet objects with different
ETags: else a slow worker would take the later object for the one that it means to replace.

On AWS it runs with the managed layer AWSSDKPandas for its Python version (awswrangler, pandas, pyarrow). The zip holds
the modules of this folder and the package ``datalake``.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import awswrangler as wr
import boto3
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from datalake.names import DMS_PREFIX, SAKILA_SCHEMA
from datalake.schemas import Table
from datalake.tables import SAKILA
from typed_csv import arrow_schema, buffered, read_batches

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

logger = logging.getLogger()
logger.setLevel(logging.INFO)

COMPRESSION = "snappy"  # the managed layer's pyarrow is built without zstd, LZ4 and Brotli
ATTEMPTS = 5  # after so many replacements by others, an object is left to the queue's next delivery
# S3 refuses a conditional write because another object is there, one is being written, or none is there any more (S3
# User Guide, "Conditional write behavior"). Such a write needs s3:GetObject in addition to s3:PutObject.
_REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
_KEY = re.compile(rf"{re.escape(DMS_PREFIX)}(?P<schema>[^/]+)/(?P<table>[^/]+)/(?P<stem>[^/]+)\.csv")


@dataclass(frozen=True)
class Source:
    """A CSV object; ``sequencer`` orders the notifications of one key."""

    bucket: str
    key: str
    sequencer: str | None = None

    @property
    def url(self) -> str:
        """For messages."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Published:
    """A Parquet object in the clean bucket, and what it was made of."""

    etag: str
    source_etag: str | None
    sequencer: str | None


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Convert every object that the event names.

    Returns:
        For SQS the messages to be delivered again (ReportBatchItemFailures); for S3 the keys written.

    Raises:
        RuntimeError: called by S3, some objects failed; it names each. The others are converted.
        ValueError: the event comes from neither.
    """
    records = event.get("Records", [])
    if records and all(record.get("eventSource") == "aws:sqs" for record in records):
        failed = [record["messageId"] for record in records if _failures(record["body"])]
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
    written: list[str] = []
    failures = _failures(event, written)
    if failures:
        raise RuntimeError("; ".join(failures))
    return {"written": written}


def sources(notification: dict[str, Any]) -> Iterator[Source]:
    """The objects that an S3 notification names; none for the test event that S3 sends to a new configuration.

    Raises:
        ValueError: it is not a notification of created objects.
    """
    if notification.get("Event") == "s3:TestEvent":
        return
    if not notification.get("Records"):
        raise ValueError(f"not an S3 notification: it has no Records, only {sorted(notification)}")
    for record in notification["Records"]:
        name = str(record.get("eventName"))
        if record.get("eventSource") != "aws:s3" or not name.startswith("ObjectCreated:"):
            raise ValueError(f"not a notification of a created S3 object: {record.get('eventSource')} {name}")
        described = record["s3"]["object"]
        yield Source(record["s3"]["bucket"]["name"], unquote_plus(described["key"]), described.get("sequencer"))


def target(key: str) -> tuple[Table, str]:
    """The declared table of a CSV's key, and the key of its Parquet object.

    Raises ValueError unless the key is ``dms/sakila/<declared table>/<file>.csv``.
    """
    found = _KEY.fullmatch(key)
    if not found or found["schema"] != SAKILA_SCHEMA:
        raise ValueError(f"key {key!r} is not {DMS_PREFIX}{SAKILA_SCHEMA}/<table>/<file>.csv")
    table = SAKILA.get(found["table"])
    if table is None:
        raise ValueError(f"key {key!r}: table {found['table']!r} is not declared in datalake/tables.py")
    return table, f"{table.prefix}{found['stem']}.parquet"


def convert(source: Source) -> str | None:
    """Write the Parquet object of a CSV object and make sure that the catalog has its table.

    Returns:
        The key written; None when there was nothing to write: the CSV is gone, or its Parquet object is there and is as
        new as the notification.

    Raises:
        ValueError: the key or the CSV does not match what its table declares.
        RuntimeError: others replaced the CSV or the Parquet object during each attempt.
    """
    table, key = target(source.key)
    clean_bucket = os.environ["CLEAN_BUCKET"]
    began = time.monotonic()
    written = None
    for _ in range(ATTEMPTS):
        present = _published(clean_bucket, key)
        if present and _is_old(source, present):
            logger.info("%s: %s was made of it already", source.url, key)
            break
        try:
            converted = _write(source, table, clean_bucket, key, present)
        except FileNotFoundError:  # a notification may come after its object was removed
            logger.warning("%s does not exist any more: nothing to convert", source.url)
            return written
        if converted is None:
            continue  # another worker was faster: look again
        etag, rows = converted
        written = key
        logger.info("%s: %d rows to %s in %.2f s", source.url, rows, key, time.monotonic() - began)
        if _source_etag(source) == etag:
            break  # else a newer CSV has arrived meanwhile, and must be converted too
    else:
        raise RuntimeError(f"{source.url} or its Parquet was replaced {ATTEMPTS} times while it was converted")
    _ensure_table(table, f"s3://{clean_bucket}/{table.prefix}")
    return written


def _failures(notification: dict[str, Any] | str, written: list[str] | None = None) -> list[str]:
    """Convert the objects that a notification (or its JSON text) names; one that fails does not stop the others."""
    failures = []
    try:
        named = list(sources(json.loads(notification) if isinstance(notification, str) else notification))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.error("cannot read the notification: %r", error)
        return [str(error)]
    for source in named:
        try:
            key = convert(source)
        except Exception as error:
            logger.exception("%s is not converted", source.url)
            failures.append(f"{source.url}: {error}")
        else:
            if written is not None and key is not None:
                written.append(key)
    return failures


def _published(bucket: str, key: str) -> Published | None:
    """The present Parquet object, if there is one."""
    found = _head(bucket, key)
    if found is None:
        return None
    metadata = found["Metadata"]
    return Published(found["ETag"], metadata.get("source-etag"), metadata.get("source-sequencer"))


def _is_old(source: Source, present: Published) -> bool:
    """Whether the Parquet object was made of the present CSV, on this notification or a newer one."""
    if not source.sequencer or _newest(source.sequencer, present.sequencer) != present.sequencer:
        return False
    etag = _source_etag(source)
    return etag is not None and etag.strip('"') == present.source_etag


def _newest(*sequencers: str | None) -> str | None:
    """The newest of some sequencers of one key; of equal ones the last.

    They are hexadecimal texts, to be padded with zeros on the right before they are compared (S3 User Guide, "Event
    message structure").
    """
    known = [sequencer for sequencer in sequencers if sequencer]
    width = max(map(len, known), default=0)
    return max(reversed(known), key=lambda sequencer: sequencer.upper().ljust(width, "0"), default=None)


def _source_etag(source: Source) -> str | None:
    """The ETag of the present CSV; None when it is gone."""
    found = _head(source.bucket, source.key)
    return found["ETag"] if found else None


def _head(bucket: str, key: str) -> HeadObjectOutputTypeDef | None:
    try:
        return _s3().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
        return None


def _write(
    source: Source, table: Table, clean_bucket: str, key: str, present: Published | None
) -> tuple[str, int] | None:
    """Convert the CSV once, replacing ``present``; return the ETag of the CSV that was read, and its number of rows.

    Returns None when ``present`` has been replaced meanwhile; raises FileNotFoundError when the CSV is gone.
    """
    try:
        found = _s3().get_object(Bucket=source.bucket, Key=source.key)
    except _s3().exceptions.NoSuchKey:
        raise FileNotFoundError(source.url) from None
    etag, rows = found["ETag"], 0
    in_file = {"source-etag": etag.strip('"'), "source-version": found.get("VersionId", "")}
    schema = arrow_schema(table).with_metadata(in_file)
    with tempfile.TemporaryFile() as file:
        with pq.ParquetWriter(file, schema, compression=COMPRESSION) as writer:
            for batch in read_batches(buffered(found["Body"]), table, source.url):
                writer.write_batch(batch.replace_schema_metadata(in_file))
                rows += batch.num_rows
        file.seek(0)
        metadata = {"source-etag": in_file["source-etag"], "source-rows": str(rows)}
        if sequencer := _newest(source.sequencer, present.sequencer if present else None):
            metadata["source-sequencer"] = sequencer
        condition: dict[str, Any] = {"IfMatch": present.etag} if present else {"IfNoneMatch": "*"}
        try:
            _s3().put_object(Bucket=clean_bucket, Key=key, Body=file, Metadata=metadata, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _REFUSED:
                raise
            logger.info("%s: %s was replaced meanwhile", source.url, key)
            return None
    return etag, rows


def _ensure_table(table: Table, location: str) -> None:
    """Create the table and its database in the catalog unless they exist; other workers may do so at the same time."""
    create = functools.partial(
        wr.catalog.create_parquet_table,
        database=table.database,
        table=table.name,
        path=location,
        columns_types={column.name: column.type for column in table.columns},
        columns_comments={column.name: column.comment for column in table.columns if column.comment},
        description=f"MySQL table {SAKILA_SCHEMA}.{table.name} as DMS last loaded it",
        compression=COMPRESSION,
        mode="append",  # adds declared columns that an older table lacks; drops nothing
    )
    try:
        create()
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        try:
            wr.catalog.create_database(table.database, exist_ok=True)
        except ClientError as race:
            if race.response["Error"]["Code"] != "AlreadyExistsException":
                raise
        create()


@functools.cache
def _s3() -> S3Client:
    """One client for the worker, as creating one takes longer than converting a small file."""
    return boto3.client("s3")
