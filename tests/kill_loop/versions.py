"""Versions of Sakila that can be told apart: every row carries its version, and actor has a few rows more in most.

A version changes no column that curated.film_category takes over, so events enriched before and after are alike.
"""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pymysql

BASE = datetime(2020, 1, 1)  # noqa: DTZ001 - MySQL's and Parquet's times have no zone
ACTORS, EXTRA_ACTORS = 200, 7  # rows of actor: 200 and 0 to 6 more
UNMARKED = ("film_text",)  # tables without last_update


def connect(environment: dict[str, str]) -> Any:
    """A connection to a home's MySQL, from the variables that ``make -s env`` exports."""
    return pymysql.connect(
        host=environment["MYSQL_HOST"],
        port=int(environment["MYSQL_PORT"]),
        user=environment["MYSQL_USER"],
        password=environment["MYSQL_PASSWORD"],
        database=environment["MYSQL_DATABASE"],
        ssl={"ca": environment["MYSQL_SSL_CA"]},
        init_command="SET time_zone = '+00:00'",
    )


def write_version(environment: dict[str, str], version: int) -> None:
    """Bring all tables to another version, in one transaction."""
    connection = connect(environment)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns JOIN information_schema.tables"
            " USING (table_schema, table_name) WHERE table_schema = 'sakila' AND table_type = 'BASE TABLE'"
            " AND column_name = 'last_update'"
        )
        marked = [name for (name,) in cursor.fetchall()]
        connection.begin()
        cursor.execute("DELETE FROM actor WHERE actor_id > %s", (ACTORS,))
        for extra in range(version % EXTRA_ACTORS):
            cursor.execute(
                "INSERT INTO actor (actor_id, first_name, last_name) VALUES (%s, 'EXTRA', %s)",
                (ACTORS + 1 + extra, f"OF VERSION {version}"),
            )
        for name in marked:
            cursor.execute(f"UPDATE `{name}` SET last_update = %s", (BASE + timedelta(seconds=version),))
        connection.commit()


def row_counts(environment: dict[str, str]) -> dict[str, int]:
    """Rows of each table as MySQL has them now."""
    connection = connect(environment)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sakila'"
            " AND table_type = 'BASE TABLE'"
        )
        names = [name for (name,) in cursor.fetchall()]
        counts = {}
        for name in names:
            cursor.execute(f"SELECT count(*) FROM `{name}`")
            counts[name] = int(cursor.fetchone()[0])
        return counts


def mixture(name: str, body: bytes, rows: dict[str, int], newest: int) -> str | None:
    """What is wrong with a table's Parquet object; None when it is exactly one version. ``rows``: counts in MySQL."""
    table = pq.read_table(io.BytesIO(body))
    if name in UNMARKED:
        return None if table.num_rows == rows[name] else f"{name}: {table.num_rows} rows, not {rows[name]}"
    marks = pc.unique(table["last_update"]).to_pylist()
    versions = [(mark - BASE).total_seconds() for mark in marks]
    if len(versions) != 1 or versions[0] not in range(1, newest + 1):
        return f"{name}: rows of versions {versions[:5]}, not of one from 1 to {newest}"
    wanted = ACTORS + int(versions[0]) % EXTRA_ACTORS if name == "actor" else rows[name]
    return None if table.num_rows == wanted else f"{name}: {table.num_rows} rows of version {versions[0]}, not {wanted}"
