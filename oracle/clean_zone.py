"""Compares the clean zone with MySQL: every table, row and value of ``sakila``, in any order.

Tables, columns and keys come from MySQL itself. ``address.location`` is not replicated.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow.parquet as pq
from pymysql.connections import Connection

from oracle.model import EXAMPLES, Film

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA = "sakila"
NOT_REPLICATED = {("address", "location")}

_COLUMNS = """
    SELECT c.table_name, c.column_name, c.column_key = 'PRI'
    FROM information_schema.columns AS c
    JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE'
    ORDER BY c.table_name, c.ordinal_position
"""
_FILMS = """
    SELECT
        f.film_id, f.title, f.description, f.release_year, f.language_id, f.original_language_id, f.length,
        f.rating, f.special_features, l.category_id, c.name
    FROM sakila.film AS f
    LEFT JOIN sakila.film_category AS l ON l.film_id = f.film_id
    LEFT JOIN sakila.category AS c ON c.category_id = l.category_id
"""


@dataclass
class CleanVerdict:
    """The number of rows of each table in MySQL, and the findings; each names table, key and column."""

    rows: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)  # rows of MySQL that are not in the clean zone
    doubled: list[str] = field(default_factory=list)  # rows that the clean zone has more often than MySQL
    wrong: list[str] = field(default_factory=list)  # values or columns that differ, rows that MySQL does not have

    @property
    def ok(self) -> bool:
        """Whether there are no findings and at least one table."""
        return bool(self.rows) and not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        """Counts and up to five examples of each fault."""
        text = [
            f"{sum(self.rows.values())} rows of {len(self.rows)} tables: lost {len(self.lost)}, "
            f"doubled {len(self.doubled)}, wrong {len(self.wrong)}"
        ]
        for fault in ("lost", "doubled", "wrong"):
            text += [f"  {fault}: {finding}" for finding in getattr(self, fault)[:EXAMPLES]]
        return "\n".join(text)


def verdict(session: boto3.Session, clean_bucket: str, connection: Connection[Any]) -> CleanVerdict:
    """Compare every Parquet object under ``sakila/`` with MySQL as it is now.

    ``connection`` must use utf8mb4; its time zone is set to UTC, in which the lake stores times.
    """
    found = CleanVerdict()
    s3 = session.client("s3")
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(_COLUMNS, (SCHEMA,))
        tables: dict[str, dict[str, bool]] = {}
        for table, column, is_key in cursor.fetchall():
            if (table, column) not in NOT_REPLICATED:
                tables.setdefault(table, {})[column] = bool(is_key)
        for table, columns in tables.items():
            listed = ", ".join(f"`{column}`" for column in columns)
            cursor.execute(f"SELECT {listed} FROM `{SCHEMA}`.`{table}`")  # noqa: S608 - names from MySQL
            rows = [tuple(map(_as_timestamp, row)) for row in cursor.fetchall()]
            keys = [n for n, is_key in enumerate(columns.values()) if is_key] or list(range(len(columns)))
            compare_rows(found, table, list(columns), keys, rows, _clean_rows(found, s3, clean_bucket, table, columns))
    connection.rollback()
    return found


def compare_rows(
    found: CleanVerdict,
    table: str,
    columns: Sequence[str],
    keys: Sequence[int],
    rows: Sequence[tuple[Any, ...]],
    clean: Iterable[tuple[Any, ...]],
) -> None:
    """Add differences between a table's clean rows and MySQL's to ``found``; ``keys``: indexes of the key columns."""

    def name(key: tuple[Any, ...]) -> str:
        return f"{table} {', '.join(f'{columns[n]}={value!r}' for n, value in zip(keys, key, strict=True))}"

    found.rows[table] = len(rows)
    present = {tuple(row[n] for n in keys): row for row in rows}
    wanted = Counter(tuple(row[n] for n in keys) for row in rows)
    seen: Counter[tuple[Any, ...]] = Counter()
    for row in clean:
        key = tuple(row[n] for n in keys)
        seen[key] += 1
        if key not in present:
            found.wrong.append(f"{name(key)}: MySQL has no such row")
        elif seen[key] > wanted[key]:
            found.doubled.append(f"{name(key)}: row {seen[key]} of {wanted[key]}")
        else:
            for column, expected, value in zip(columns, present[key], row, strict=True):
                if expected != value or type(expected) is not type(value):
                    found.wrong.append(f"{name(key)}: {column} is {value!r}, MySQL has {expected!r}")
    found.lost += [f"{name(key)}: in no Parquet object" for key in wanted if seen[key] < wanted[key]]


def films(connection: Connection[Any]) -> dict[int, Film]:
    """The rows that curated.film_category must have, from MySQL itself, by film_id."""
    with connection.cursor() as cursor:
        cursor.execute(_FILMS)
        return {row[0]: Film(*row) for row in cursor.fetchall()}


def _clean_rows(
    found: CleanVerdict, s3: S3Client, bucket: str, table: str, columns: Iterable[str]
) -> Iterable[tuple[Any, ...]]:
    """Rows of all Parquet objects of a table, with columns in MySQL's order."""
    wanted = list(columns)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{SCHEMA}/{table}/"):
        for entry in page.get("Contents", []):
            body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            read = pq.ParquetFile(io.BytesIO(body))
            if sorted(read.schema_arrow.names) != sorted(wanted):
                differing = sorted(set(read.schema_arrow.names) ^ set(wanted))
                found.wrong.append(f"{table}: columns {', '.join(differing)} are not in both, see {entry['Key']}")
                continue
            for batch in read.iter_batches():
                values = [batch.column(name).to_pylist() for name in wanted]
                yield from (tuple(map(_as_timestamp, row)) for row in zip(*values, strict=True))


def _as_timestamp(value: Any) -> Any:
    """Convert a date to a time at midnight: the clean zone declares dates as timestamps."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - MySQL's DATETIME has no zone
    return value
