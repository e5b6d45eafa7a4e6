"""The full load itself: streams the selected tables of MySQL into CSV files, one table after another.

All tables are read in one transaction, so those of InnoDB show one moment. A run changes ``Run.tables`` as it goes; the
executor reads them from other threads.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import boto3
import pymysql
from botocore.exceptions import BotoCoreError, ClientError
from pymysql.connections import Connection

from local.aws.dms.csv_files import TableFiles, Value, remove_files
from local.aws.dms.endpoints import MySqlSource, S3Target, is_lost, unreachable
from local.aws.dms.mappings import TableMappings
from local.aws.dms.task_settings import DO_NOTHING, IGNORE_RECORD, LOG_ERROR, STOP_TASK, SUSPEND_TABLE, TaskSettings

log = logging.getLogger("dms")

BEFORE, LOADING, COMPLETED, CANCELLED, ERROR = (
    "Before load",
    "Full load",
    "Table completed",
    "Table cancelled",
    "Table error",
)
FETCH_ROWS = 1000
# DMS user guide, "Using a MySQL-compatible database as a source": what becomes a LOB; TEXT and BLOB do not
_LOBS = {"mediumblob", "longblob", "mediumtext", "longtext", "json", "geometry", "point", "linestring", "polygon"}
_LOBS |= {"multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection"}
_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"}
_DATES = {"date", "datetime", "timestamp"}
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class TaskFailed(Exception):
    """The task ends as ``failed`` with this message."""


class TableFailed(Exception):
    """The table is suspended, or the task ends, as the settings say."""


@dataclass
class TableRun:
    """Statistics of one table. Times are epoch seconds."""

    schema: str
    name: str
    state: str = BEFORE
    rows: int = 0
    error_rows: int = 0
    began: float | None = None
    ended: float | None = None
    reloaded: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For the state file."""
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """What a run needs to know. ``source_session`` and ``target_session`` act under the endpoints' roles."""

    source: MySqlSource
    target: S3Target
    mappings: TableMappings
    settings: TaskSettings
    source_session: boto3.Session
    target_session: boto3.Session


@dataclass
class Run:
    """One start of a task. ``tables`` may come from an earlier run (resume): completed ones are not loaded again."""

    job: Job
    tables: dict[tuple[str, str], TableRun] = field(default_factory=dict)
    reload: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    saved: Callable[[], None] = lambda: None

    def load(self) -> bool:
        """Load every selected table; False when it was told to stop.

        Raises:
            TaskFailed: as the task's settings decide.
            SourceUnreachable: MySQL is down or went away.
        """
        connection = self.job.source.connect(self.job.source_session)
        try:
            return self._load(connection)
        except (pymysql.MySQLError, OSError) as error:
            if is_lost(error):
                raise unreachable(connection.host, connection.port, error) from error
            raise TaskFailed(f"The MySQL source endpoint at {connection.host}:{connection.port}: {error}") from error
        finally:
            if connection.open:
                connection.close()

    def _load(self, connection: Connection[Any]) -> bool:
        _run(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        selected = [
            name
            for name in _query(
                connection,
                "SELECT table_schema, table_name FROM information_schema.tables "
                "WHERE table_type = 'BASE TABLE' ORDER BY table_schema, table_name",
            )
            if self.job.mappings.selects(*name)
        ]
        if not selected and self.job.settings.fail_without_tables:
            raise TaskFailed(
                "No tables were found at task initialization. Either the selected tables no longer exist "
                "or no match was found for the table selection pattern(s)."
            )
        known = {name: self.tables.get(name) or TableRun(name[0], name[1], reloaded=self.reload) for name in selected}
        self.tables.clear()
        self.tables.update(known)
        self.saved()
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
                limit = self.job.settings.table_error_limit
                if self.job.settings.table_error == STOP_TASK or 0 < limit <= failed:
                    raise TaskFailed(message) from error
            finally:
                self.saved()
            if self.stop.is_set():
                return False
        return True

    def _load_table(self, connection: Connection[Any], table: TableRun) -> None:
        """Load one table; whatever happens, its state tells."""
        table.state, table.rows, table.error_rows = LOADING, 0, 0
        table.began, table.ended = time.time(), None
        self.saved()
        prefix = self.job.target.table_prefix(table.schema, table.name)
        try:
            s3 = self.job.target_session.client("s3")
            if self.job.settings.prepare != DO_NOTHING:
                remove_files(s3, self.job.target, prefix)
            columns = self._columns(connection, table)
            files = TableFiles(
                s3, self.job.target, prefix, [(name, kind in _NUMBERS | _DATES) for name, kind in columns]
            )
            try:
                self._copy(connection, table, columns, files)
                if not self.stop.is_set():
                    files.close()
            finally:
                files.discard()
            table.state = CANCELLED if self.stop.is_set() else COMPLETED
        except (ClientError, BotoCoreError) as error:
            table.state = ERROR
            raise TableFailed(f"writing to s3://{self.job.target.bucket}/{prefix} failed: {error}") from error
        except pymysql.MySQLError as error:
            table.state = ERROR
            if is_lost(error):
                raise
            raise TableFailed(str(error)) from error
        except OSError as error:
            table.state = ERROR
            if error.errno not in _DISK_FULL:
                raise  # of the connection to MySQL
            raise TableFailed(f"its file does not fit the disk: {error}") from error
        except BaseException:
            table.state = ERROR
            raise
        finally:
            table.ended = time.time()

    def _columns(self, connection: Connection[Any], table: TableRun) -> list[tuple[str, str]]:
        """Name and MySQL type of each column that is loaded."""
        found = _query(
            connection,
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (table.schema, table.name),
        )
        columns = [
            (name, kind)
            for name, kind in found
            if not self.job.mappings.removes(table.schema, table.name, name)
            and (self.job.settings.lobs or kind not in _LOBS)
        ]
        if not columns:
            raise TableFailed("no column is left to load")
        return columns

    def _copy(
        self, connection: Connection[Any], table: TableRun, columns: list[tuple[str, str]], files: TableFiles
    ) -> None:
        names = ", ".join(_identifier(name) for name, _ in columns)
        checks = [(index, name, kind) for index, (name, kind) in enumerate(columns) if kind in _LOBS | _DATES]
        with connection.cursor() as cursor:  # closing it reads what is left of the result
            cursor.execute(f"SELECT {names} FROM {_identifier(table.schema)}.{_identifier(table.name)}")  # noqa: S608
            while rows := cursor.fetchmany(FETCH_ROWS):
                for row in self._checked(rows, checks, table) if checks else rows:
                    files.write(row)
                    table.rows += 1
                if self.stop.is_set():
                    return

    def _checked(
        self, rows: list[tuple[Value, ...]], checks: list[tuple[int, str, str]], table: TableRun
    ) -> Iterator[Sequence[Value]]:
        """The rows that the error policies let pass."""
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
            escalation, limit = self.job.settings.data_error_escalation
            if 0 < limit <= table.error_rows and escalation == STOP_TASK:
                raise TaskFailed(f"Table {table.schema}.{table.name}: {table.error_rows} rows with data errors")
            if 0 < limit <= table.error_rows and escalation == SUSPEND_TABLE:
                raise TableFailed(f"{table.error_rows} rows with data errors")

    def _inspect(
        self, row: tuple[Value, ...], checks: list[tuple[int, str, str]]
    ) -> tuple[str, str, Sequence[Value] | None]:
        """What is wrong with a row (empty: nothing), the policy that decides, and what LOG_ERROR leaves of the row."""
        settings = self.job.settings
        kept: list[Value] | None = None
        for index, name, kind in checks:
            value = row[index]
            if value is None:
                continue
            if kind in _DATES:
                if isinstance(value, str) and (value[:4] == "0000" or value[5:7] == "00" or value[8:10] == "00"):
                    return f"column {name}: {value!r} is no date", settings.data_error, None
            elif settings.lob_bytes is not None and _bytes(value) > settings.lob_bytes:
                kept = kept or list(row)
                kept[index] = _cut(value, settings.lob_bytes)
        if kept:
            return f"a value is longer than LobMaxSize, {settings.lob_bytes} bytes", settings.truncation, kept
        return "", LOG_ERROR, row


def _query(connection: Connection[Any], statement: str, arguments: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments or None)
        return list(cursor.fetchall())


def _run(connection: Connection[Any], statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _bytes(value: str | bytes) -> int:
    return len(value.encode() if isinstance(value, str) else value)


def _cut(value: str | bytes, size: int) -> str | bytes:
    """The first bytes of a value, without a broken last character."""
    return value.encode()[:size].decode("utf-8", "ignore") if isinstance(value, str) else value[:size]
