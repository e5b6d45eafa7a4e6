"""Reads the curated tables with DuckDB, one snapshot of each, with the endpoints and credentials of a boto3 session."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import duckdb
import pyarrow as pa
from botocore.exceptions import ClientError

from oracle.comparison import FILM_ROW, QUARANTINE_ROW, RECONCILIATION_ROW
from oracle.model import Actual, Film

DATABASE = "curated"
FILMS, QUARANTINE = "streaming_films", "streaming_events_quarantine"
RECONCILIATION, CATALOGUE = "streaming_reconciliation", "film_category"
_TYPES = {"source_line": pa.int32(), "film_id_streaming": pa.int32(), "original_language_id": pa.float64()}
_NUMBERS = {"film_id", "release_year", "language_id", "length", "category_id"} | set(RECONCILIATION_ROW[2:7])


class Tables:
    """The tables as they are when this object is created: everything is read from the same snapshots.

    Args:
        session: may read the tables' descriptions in Glue and their files in S3.

    Raises botocore's ClientError when it may not, duckdb.Error for a file that cannot be read.
    """

    def __init__(self, session: boto3.Session) -> None:
        self._glue, self._s3 = session.client("glue"), session.client("s3")
        self._connection = connect(session)
        names = (FILMS, QUARANTINE, RECONCILIATION, CATALOGUE)
        self._metadata = {name: location for name in names if (location := self._location(name))}
        self.snapshots = {name: self._snapshot(name) for name in self._metadata}

    def actual(self, month: str | None = None) -> Actual:
        """All rows, or those of one arrival month (yyyy-MM); a table that does not exist has none."""
        films = self._rows(FILMS, FILM_ROW, month)
        quarantine = self._rows(QUARANTINE, QUARANTINE_ROW, month)
        has_counts = RECONCILIATION in self._metadata
        counts = self._rows(RECONCILIATION, RECONCILIATION_ROW, month) if has_counts else None
        return Actual(films, quarantine, counts, dict(self.snapshots))

    def catalogues(self) -> list[dict[int, Film]]:
        """curated.film_category by film_id: the current version first, then each different one that still exists."""
        if self.snapshots.get(CATALOGUE) is None:
            return [{}]
        query = "SELECT snapshot_id FROM iceberg_snapshots(?) ORDER BY snapshot_id = ? DESC, sequence_number DESC"
        given = [self._metadata[CATALOGUE], self.snapshots[CATALOGUE]]
        found: list[dict[int, Film]] = []
        for (snapshot,) in self._connection.execute(query, given).fetchall():
            rows = self._rows(CATALOGUE, Film._fields, None, snapshot).to_pylist()
            films = {row["film_id"]: Film(**row) for row in rows}
            if films not in found:
                found.append(films)
        return found

    def keys(self, months: Iterable[str]) -> set[str]:
        """The objects of these arrival months that have a row in one of the tables."""
        found: set[str] = set()
        for month in months:
            for name in (FILMS, QUARANTINE, RECONCILIATION):
                found.update(self._rows(name, ("source_file",), month, distinct=True)["source_file"].to_pylist())
        return found

    def newest_commit(self) -> str | None:
        """The newest time in streaming_reconciliation, yyyy-MM-ddTHH:mm:ssZ."""
        if self.snapshots.get(RECONCILIATION) is None:
            return None
        query = f"SELECT max(committed_at) FROM {self._scan(RECONCILIATION)}"  # noqa: S608
        row = self._connection.execute(query).fetchone()
        return row[0] if row else None

    def months(self) -> set[str]:
        """The arrival months that have a row."""
        found: set[str] = set()
        for name in (FILMS, QUARANTINE, RECONCILIATION):
            if self.snapshots.get(name) is None:
                continue
            query = f"SELECT DISTINCT partition_0 || '-' || partition_1 FROM {self._scan(name)}"  # noqa: S608
            found.update(month for (month,) in self._connection.execute(query).fetchall())
        return found

    def holds(self, event_ids: Sequence[str]) -> set[str]:
        """The event ids that are in streaming_films, in any month."""
        if self.snapshots.get(FILMS) is None or not event_ids:
            return set()
        self._connection.register("wanted", pa.table({"event_id": pa.array(event_ids, pa.string())}))
        query = f"SELECT DISTINCT event_id FROM {self._scan(FILMS)} SEMI JOIN wanted USING (event_id)"  # noqa: S608
        return {event_id for (event_id,) in self._connection.execute(query).fetchall()}

    def moved(self) -> list[str]:
        """The tables to which a run has committed since this object was created."""
        return [name for name, location in self._metadata.items() if self._location(name) != location]

    def _location(self, name: str) -> str | None:
        try:
            table = self._glue.get_table(DatabaseName=DATABASE, Name=name)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise
            return None
        location: str = table["Parameters"]["metadata_location"]
        return location

    def _snapshot(self, name: str) -> int | None:
        """The current snapshot in the metadata file, which is immutable; None for a table without a commit."""
        url = urlsplit(self._metadata[name])
        written = self._s3.get_object(Bucket=url.netloc, Key=url.path.lstrip("/"))["Body"].read()
        snapshot: int | None = json.loads(written).get("current-snapshot-id")
        return None if snapshot == -1 else snapshot

    def _rows(
        self,
        name: str,
        columns: Sequence[str],
        month: str | None,
        snapshot: int | None = None,
        distinct: bool = False,
    ) -> pa.Table:
        if self.snapshots.get(name) is None:
            return schema(columns).empty_table()
        listed = ("DISTINCT " if distinct else "") + ", ".join(f'"{column}"' for column in columns)
        query = f"SELECT {listed} FROM {self._scan(name, snapshot)}"  # noqa: S608
        if month is None:
            return self._connection.execute(query).to_arrow_table()
        query += " WHERE partition_0 = ? AND partition_1 = ?"
        return self._connection.execute(query, month.split("-")).to_arrow_table()

    def _scan(self, name: str, snapshot: int | None = None) -> str:
        location = self._metadata[name].replace("'", "''")
        return f"iceberg_scan('{location}'{f', snapshot_from_id = {snapshot}' if snapshot else ''})"


def read(session: boto3.Session, month: str | None = None) -> Actual:
    """All rows of the curated tables of events, or those of one arrival month (yyyy-MM): see ``Tables``."""
    return Tables(session).actual(month)


def schema(columns: Sequence[str]) -> pa.Schema:
    """The Arrow schema of some columns of the curated tables."""
    return pa.schema([(name, pa.int64() if name in _NUMBERS else _TYPES.get(name, pa.string())) for name in columns])


def connect(session: boto3.Session) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with extensions from Python packages, so that nothing is downloaded."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    for name in ("avro", "httpfs", "iceberg"):
        connection.load_extension(str(_extension(name)))
    # Each Tables gets fresh credentials, which are valid for longer than one recount.
    credentials: Any = session.get_credentials()
    keys = credentials.get_frozen_credentials()
    s3 = session.client("s3").meta
    url = urlsplit(s3.endpoint_url)
    options = {
        "KEY_ID": keys.access_key,
        "SECRET": keys.secret_key,
        "SESSION_TOKEN": keys.token or "",
        "REGION": s3.region_name,
        "ENDPOINT": url.netloc,
        "URL_STYLE": "path",
        "USE_SSL": url.scheme == "https",
    }
    written = ", ".join(f"{name} {_literal(value)}" for name, value in options.items())
    connection.execute(f"CREATE SECRET (TYPE s3, {written})")
    connection.execute("SET preserve_insertion_order = false")
    return connection


def _literal(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else "'" + value.replace("'", "''") + "'"


def _extension(name: str) -> Path:
    package = find_spec(f"duckdb_extension_{name}")
    if package is None or package.origin is None:
        raise RuntimeError(f"the package duckdb-extension-{name} is not installed")
    return next(Path(package.origin).parent.rglob(f"{name}.duckdb_extension"))
