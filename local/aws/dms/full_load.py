"""Copies the selected tables of MySQL into CSV files, one table after another.

All tables are read in one transaction, so tables of InnoDB are all copied as of the same moment. A load updates
``FullLoad.tables`` while it runs; the API reads them from other threads.
"""

from __future__ import annotations

import errno
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3
import pymysql
from botocore.exceptions import BotoCoreError, ClientError
from pymysql.connections import Connection

from local.aws.dms.csv_files import TableFiles, Value, remove_files
from local.aws.dms.endpoint_settings import MySqlSource, S3Target, is_connection_lost, source_unreachable
from local.aws.dms.table_mappings import TableMappings
from local.aws.dms.task_settings import DO_NOTHING, IGNORE_RECORD, LOG_ERROR, STOP_TASK, SUSPEND_TABLE, TaskSettings

log = logging.getLogger("dms")

BEFORE_LOAD, LOADING, COMPLETED = "Before load", "Full load", "Table completed"
CANCELLED, ERROR = "Table cancelled", "Table error"
FETCH_ROWS = 1000
# DMS user guide, "Using a MySQL-compatible database as a source": the types that become LOBs (TEXT and BLOB do not)
_LOBS = {"mediumblob", "longblob", "mediumtext", "longtext", "json", "geometry", "point", "linestring", "polygon"}
_LOBS |= {"multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection"}
_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"}
_DATES = {"date", "datetime", "timestamp"}
_BOOLEAN = "boolean"  # BIT(1); a longer BIT is BYTES (DMS user guide, "Source data types for MySQL")
# "Zero" dates are recorded as null on a target that has none (the same page, its note)
_ZERO_DATE = re.compile(r"0000-00-00( 00:00:00(\.0+)?)?")
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class TaskFailed(Exception):
    """The task ends as ``failed`` with this message."""


class TableFailed(Exception):
    """A table cannot be loaded; the settings decide whether it is suspended or the whole task fails."""


@dataclass
class TableLoad:
    """The statistics of one table. Times are epoch seconds."""

    schema: str
    name: str
    state: str = BEFORE_LOAD
    rows: int = 0
    error_rows: int = 0
    began: float | None = None
    ended: float | None = None
    reloaded: bool = False


@dataclass(frozen=True)
class LoadPlan:
    """What to load, from where and to where. The two sessions act under the endpoints' roles."""

    source: MySqlSource
    target: S3Target
    mappings: TableMappings
    settings: TaskSettings
    source_session: boto3.Session
    target_session: boto3.Session


@dataclass
class FullLoad:
    """One run of a task. ``on_progress`` is called whenever the state of a table changes.

    When a run is resumed, ``tables`` come from the run before and completed ones are not loaded again.
    """

    plan: LoadPlan
    tables: dict[tuple[str, str], TableLoad] = field(default_factory=dict)
    reload: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[], None] = lambda: None

    def load(self) -> bool:
        """Load every selected table; returns False when it was told to stop.

        Raises:
            TaskFailed: for the errors that fail the task according to its settings.
            SourceUnreachable: MySQL is down or the connection was lost.
        """
        connection = self.plan.source.connect(self.plan.source_session)
        try:
            return self._load(connection)
        except (pymysql.MySQLError, OSError) as error:
            if is_connection_lost(error):
                raise source_unreachable(connection.host, connection.port, error) from error
            raise TaskFailed(f"The MySQL source endpoint at {connection.host}:{connection.port}: {error}") from error
        finally:
            if connection.open:
                connection.close()

    def _load(self, connection: Connection[Any]) -> bool:
        _query(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        present = _query(
            connection,
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' ORDER BY table_schema, table_name",
        )
        selected = [name for name in present if self.plan.mappings.selects(*name)]
        if not selected and self.plan.settings.fail_without_tables:
            raise TaskFailed(
                "No tables were found at task initialization. Either the selected tables no longer exist "
                "or no match was found for the table selection pattern(s)."
            )
        known = {name: self.tables.get(name) or TableLoad(name[0], name[1], reloaded=self.reload) for name in selected}
        self.tables.clear()
        self.tables.update(known)
        self.on_progress()
        failed = 0
        for table in known.values():
            if table.state == COMPLETED:
                continue
            try:
                self._load_table(connection, table)
            except TableFailed as error:
                failed += 1
                message = f"Table {table.schema}.{table.name}: {error}"
                log.error("%s", message)
                limit = self.plan.settings.table_error_limit
                if self.plan.settings.table_error == STOP_TASK or 0 < limit <= failed:
                    raise TaskFailed(message) from error
            finally:
                self.on_progress()
            if self.stop.is_set():
                return False
        return True

    def _load_table(self, connection: Connection[Any], table: TableLoad) -> None:
        """Load one table; its state shows the outcome, also after an error."""
        table.state, table.rows, table.error_rows = LOADING, 0, 0
        table.began, table.ended = time.time(), None
        self.on_progress()
        prefix = self.plan.target.table_prefix(table.schema, table.name)
        try:
            s3 = self.plan.target_session.client("s3")
            if self.plan.settings.prepare != DO_NOTHING:
                remove_files(s3, self.plan.target, prefix)
            columns = self._columns(connection, table)
            plain = [(name, kind in _NUMBERS | _DATES) for name, kind in columns]
            files = TableFiles(s3, self.plan.target, prefix, plain)
            try:
                self._copy(connection, table, columns, files)
                if not self.stop.is_set():
                    files.close()
            finally:
                files.discard()
            table.state = CANCELLED if self.stop.is_set() else COMPLETED
        except (ClientError, BotoCoreError) as error:
            table.state = ERROR
            raise TableFailed(f"writing to s3://{self.plan.target.bucket}/{prefix} failed: {error}") from error
        except pymysql.MySQLError as error:
            table.state = ERROR
            if is_connection_lost(error):
                raise
            raise TableFailed(str(error)) from error
        except OSError as error:
            table.state = ERROR
            if error.errno not in _DISK_FULL:
                raise  # an error of the connection to MySQL
            raise TableFailed(f"its file does not fit on the disk: {error}") from error
        except BaseException:
            table.state = ERROR
            raise
        finally:
            table.ended = time.time()

    def _columns(self, connection: Connection[Any], table: TableLoad) -> list[tuple[str, str]]:
        """The name and MySQL type of each column that is loaded."""
        found = _query(
            connection,
            "SELECT column_name, IF(column_type = 'bit(1)', 'boolean', data_type) FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (table.schema, table.name),
        )
        columns = [
            (name, kind)
            for name, kind in found
            if not self.plan.mappings.removes(table.schema, table.name, name)
            and (self.plan.settings.lobs or kind not in _LOBS)
        ]
        if not columns:
            raise TableFailed("no column is left to load")
        return columns

    def _copy(
        self, connection: Connection[Any], table: TableLoad, columns: list[tuple[str, str]], files: TableFiles
    ) -> None:
        names = ", ".join(_identifier(name) for name, _ in columns)
        checks = [(at, name, kind) for at, (name, kind) in enumerate(columns) if kind in _LOBS | _DATES | {_BOOLEAN}]
        with connection.cursor() as cursor:  # closing it reads the rest of the result
            cursor.execute(f"SELECT {names} FROM {_identifier(table.schema)}.{_identifier(table.name)}")  # noqa: S608
            while rows := cursor.fetchmany(FETCH_ROWS):
                for row in self._apply_policies(rows, checks, table) if checks else rows:
                    files.write(row)
                    table.rows += 1
                if self.stop.is_set():
                    return

    def _apply_policies(
        self, rows: list[tuple[Value, ...]], checks: list[tuple[int, str, str]], table: TableLoad
    ) -> Iterator[Sequence[Value]]:
        """The rows that are loaded under the error policies."""
        for row in rows:
            fault, policy, kept = self._inspect(row, checks)
            if fault:
                log.error("Table %s.%s: %s (%s)", table.schema, table.name, fault, policy)
                if policy == STOP_TASK:
                    raise TaskFailed(f"Table {table.schema}.{table.name}: {fault}")
                if policy == SUSPEND_TABLE:
                    raise TableFailed(fault)
            if kept is not None and not (fault and policy == IGNORE_RECORD):
                yield kept
                continue
            table.error_rows += 1
            escalation, limit = self.plan.settings.data_error_escalation
            if 0 < limit <= table.error_rows and escalation == STOP_TASK:
                raise TaskFailed(f"Table {table.schema}.{table.name}: {table.error_rows} rows with data errors")
            if 0 < limit <= table.error_rows and escalation == SUSPEND_TABLE:
                raise TableFailed(f"{table.error_rows} rows with data errors")

    def _inspect(
        self, row: tuple[Value, ...], checks: list[tuple[int, str, str]]
    ) -> tuple[str, str, Sequence[Value] | None]:
        """A row's fault (empty: none), the policy that applies, and the row that LOG_ERROR writes (None: no row)."""
        settings = self.plan.settings
        kept, truncated = list(row), False
        for index, name, kind in checks:
            value = row[index]
            if value is None:
                continue
            if kind == _BOOLEAN:
                kept[index] = "true" if value == b"\1" else "false"
            elif kind in _DATES:
                if isinstance(value, str) and _ZERO_DATE.fullmatch(value):
                    kept[index] = None
                elif isinstance(value, str) and (value[:4] == "0000" or value[5:7] == "00" or value[8:10] == "00"):
                    return f"column {name}: {value!r} is not a date", settings.data_error, None
            elif settings.lob_bytes is not None and _size(value) > settings.lob_bytes:
                kept[index], truncated = _truncated(value, settings.lob_bytes), True
        if truncated:
            return f"a value is longer than LobMaxSize, {settings.lob_bytes} bytes", settings.truncation, kept
        return "", LOG_ERROR, kept


def _query(connection: Connection[Any], statement: str, arguments: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments or None)
        return list(cursor.fetchall())


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _size(value: str | bytes) -> int:
    return len(value.encode() if isinstance(value, str) else value)


def _truncated(value: str | bytes, size: int) -> str | bytes:
    """The first ``size`` bytes of a value, without an incomplete last character."""
    return value.encode()[:size].decode("utf-8", "ignore") if isinstance(value, str) else value[:size]
