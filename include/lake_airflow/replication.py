"""Steps of the DAG replicate_sakila, which prove that every row of MySQL is in the clean zone.

A *fresh* CSV is one that the present DMS load has written: its LastModified is not before the load's start (S3 keeps
whole seconds). ``started`` is that start as ISO-8601.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk.exceptions import AirflowFailException

from datalake import tables
from datalake.names import DMS_PREFIX, SAKILA_SCHEMA
from lake_airflow import mysql_tasks
from lake_airflow.athena import query_rows
from lake_airflow.defaults import LAKE

CSV_PREFIX = f"{DMS_PREFIX}{SAKILA_SCHEMA}/"
FIRST_CSV = "LOAD00000001.csv"  # DMS numbers a table's files in hexadecimal from here
SOURCE_ETAG = "source-etag"  # object metadata of each Parquet: the ETag of the CSV it was made from


@dataclass(frozen=True)
class LandedCsv:
    """One CSV object in the landing bucket."""

    key: str
    etag: str
    size: int
    modified: datetime

    @property
    def table(self) -> str:
        """The MySQL table, e.g. ``film`` of ``dms/sakila/film/LOAD00000001.csv``."""
        return self.key.split("/")[-2]

    @property
    def parquet_key(self) -> str:
        """Key of its Parquet in the clean bucket: same table, same stem."""
        stem = self.key.rpartition("/")[2].removesuffix(".csv")
        return f"{tables.SAKILA[self.table].prefix}{stem}.parquet"


def landed_csvs(s3: S3Hook) -> list[LandedCsv]:
    """CSV objects of known tables, in key order."""
    listed = s3.iter_file_metadata(CSV_PREFIX, LAKE.landing_bucket)
    csvs = [LandedCsv(o["Key"], o["ETag"].strip('"'), o["Size"], o["LastModified"]) for o in listed]
    return sorted(
        (csv for csv in csvs if csv.key.endswith(".csv") and csv.table in tables.SAKILA), key=lambda csv: csv.key
    )


def fresh_csvs(s3: S3Hook, started: str) -> list[LandedCsv]:
    """CSV objects of known tables that the load that began at ``started`` wrote, in key order."""
    return _since(landed_csvs(s3), started)


def _since(csvs: list[LandedCsv], started: str) -> list[LandedCsv]:
    since = datetime.fromisoformat(started).replace(microsecond=0)
    return [csv for csv in csvs if csv.modified >= since]


def put_headers_for_empty_tables(started: str) -> list[str]:
    """Write a CSV with only a header for each table that has no fresh CSV; returns those tables' names.

    DMS writes no file for an empty table (CHAP_Target.S3), so nothing would create the table or replace an older one.
    The Lambda converts the header into an empty table with the declared types.
    """
    s3 = S3Hook()
    written = {csv.table for csv in fresh_csvs(s3, started)}
    missing = sorted(set(tables.SAKILA) - written)
    for name in missing:
        header = ",".join(tables.SAKILA[name].column_names) + "\n"
        s3.load_string(header, f"{CSV_PREFIX}{name}/{FIRST_CSV}", LAKE.landing_bucket, replace=True)
    return missing


def unconverted(s3: S3Hook, csvs: list[LandedCsv]) -> list[LandedCsv]:
    """Those CSV objects whose Parquet is missing or was made from another version of the CSV."""

    def is_converted(csv: LandedCsv) -> bool:
        parquet = s3.head_object(csv.parquet_key, LAKE.clean_bucket)
        return parquet is not None and parquet["Metadata"].get(SOURCE_ETAG, "").strip('"') == csv.etag

    return [csv for csv in csvs if not is_converted(csv)]


def object_created(csv: LandedCsv, region: str) -> str:
    """S3's notification of a new object, to be sent for an object whose notification was lost.

    Its form is that of the S3 User Guide, "Event message structure", version 2.1, with a URL-encoded key. It has no
    ``sequencer``, which only S3 knows.
    """
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": csv.modified.isoformat(),
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": LAKE.landing_bucket, "arn": f"arn:aws:s3:::{LAKE.landing_bucket}"},
            "object": {"key": quote_plus(csv.key, safe="/"), "size": csv.size, "eTag": csv.etag},
        },
    }
    return json.dumps({"Records": [record]})


def remove_superseded(started: str) -> list[str]:
    """Delete CSV objects that are not fresh and Parquet objects without a fresh CSV; returns the keys.

    These are left, for example, from an earlier load that wrote more files. It must be called when every fresh CSV is
    converted, so that nothing is deleted before it is replaced. CSV objects are deleted before Parquet objects, so that
    a late notification cannot create such a Parquet object again.
    """
    s3 = S3Hook()
    # Parquet is listed first: an object that is published meanwhile is then in both lists or in neither
    parquet = {key for table in tables.SAKILA.values() for key in s3.list_keys(LAKE.clean_bucket, table.prefix)}
    landed = landed_csvs(s3)
    fresh = _since(landed, started)
    superseded = {csv.key for csv in landed} - {csv.key for csv in fresh}
    parquet -= {csv.parquet_key for csv in fresh}
    _delete(s3, LAKE.landing_bucket, superseded)
    _delete(s3, LAKE.clean_bucket, parquet)
    return sorted(superseded | parquet)


def _delete(s3: S3Hook, bucket: str, keys: set[str]) -> None:
    if keys:
        s3.delete_objects(bucket, sorted(keys))


def reconcile_rows(load: Mapping[str, Any], count_query: str) -> str:
    """Compare the rows of MySQL now, those that DMS loaded, and those that ``sakila_row_counts.sql`` counted."""
    clean = {str(row["table_name"]): int(row["row_count"] or 0) for row in query_rows(AthenaHook(), count_query)}
    return rows_agree(mysql_tasks.count_rows(), load["rows"], clean)


def rows_agree(mysql: Mapping[str, int], dms: Mapping[str, int], clean: Mapping[str, int]) -> str:
    """Check that every table has as many rows in MySQL as DMS loaded and as the clean zone holds; returns a summary.

    Raises:
        AirflowFailException: names every table that differs, with its three numbers. There is no retry.
    """
    wrong = [
        f"{name}: MySQL {mysql.get(name)}, DMS {dms.get(name, 0)}, clean {clean.get(name)}"
        for name in tables.SAKILA
        if not mysql.get(name) == dms.get(name, 0) == clean.get(name)
    ]
    if wrong:
        raise AirflowFailException("Rows do not agree. " + "; ".join(wrong))
    return f"{len(tables.SAKILA)} tables, {sum(mysql.values())} rows: MySQL = DMS = clean zone"
