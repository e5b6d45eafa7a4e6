"""What Athena stores, in one SQLite file: executions for 45 days, named queries and prepared statements for ever."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

HISTORY_SECONDS = 45 * 24 * 3600  # https://docs.aws.amazon.com/athena/latest/ug/queries-viewing-history.html

_SCHEMA = """
create table if not exists executions (
  id text primary key, workgroup text not null, submitted real not null, token text unique, fingerprint text not null,
  finished integer not null, document text not null);
create index if not exists executions_by_time on executions (workgroup, submitted);
create table if not exists named_queries (
  id text primary key, workgroup text not null, token text unique, document text not null);
create table if not exists prepared_statements (
  workgroup text not null, name text not null, document text not null, primary key (workgroup, name));
"""

Document = dict[str, Any]


class Store:
    """Documents in the shapes of AWS's API. Every change is committed before its method returns and survives a kill."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("pragma journal_mode = wal")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(sql, values).fetchall()

    def _documents(self, sql: str, *values: Any) -> list[Document]:
        return [json.loads(row[0]) for row in self._rows(sql, *values)]

    def _change(self, sql: str, *values: Any) -> int:
        with self._lock:
            return self._database.execute(sql, values).rowcount

    # executions

    def add_execution(self, document: Document, token: str | None, fingerprint: str) -> tuple[str, str]:
        """Save a new execution unless one with this token exists; (id, fingerprint) of the one that is stored."""
        self._change("delete from executions where submitted < ?", time.time() - HISTORY_SECONDS)
        execution_id, submitted = document["QueryExecutionId"], document["Status"]["SubmissionDateTime"]
        new = (execution_id, document["WorkGroup"], submitted, token, fingerprint, json.dumps(document))
        self._change("insert or ignore into executions values (?, ?, ?, ?, ?, 0, ?)", *new)
        sql = "select id, fingerprint from executions where id = ? or (token is not null and token = ?)"
        found = self._rows(sql, execution_id, token)
        return found[0][0], found[0][1]

    def save_execution(self, document: Document, finished: bool) -> None:
        """Replace an execution's document."""
        sql = "update executions set document = ?, finished = ? where id = ?"
        self._change(sql, json.dumps(document), int(finished), document["QueryExecutionId"])

    def execution(self, execution_id: str) -> Document | None:
        """An execution, None if there is none with this id."""
        return next(iter(self._documents("select document from executions where id = ?", execution_id)), None)

    def unfinished(self) -> list[Document]:
        """Executions that have not ended."""
        return self._documents("select document from executions where finished = 0")

    def execution_ids(self, workgroup: str, limit: int, skip: int) -> list[str]:
        """Ids of a workgroup's executions, newest first."""
        sql = "select id from executions where workgroup = ? order by submitted desc, rowid desc limit ? offset ?"
        return [row[0] for row in self._rows(sql, workgroup, limit, skip)]

    # named queries

    def add_named_query(self, document: Document, token: str | None) -> str:
        """Save a named query unless one with this token exists; the id of the one that is stored."""
        new = (document["NamedQueryId"], document["WorkGroup"], token, json.dumps(document))
        self._change("insert or ignore into named_queries values (?, ?, ?, ?)", *new)
        sql = "select id from named_queries where id = ? or (token is not null and token = ?)"
        return str(self._rows(sql, new[0], token)[0][0])

    def save_named_query(self, document: Document) -> None:
        """Replace a named query."""
        sql = "update named_queries set document = ? where id = ?"
        self._change(sql, json.dumps(document), document["NamedQueryId"])

    def named_query(self, query_id: str) -> Document | None:
        """A named query, None if there is none with this id."""
        return next(iter(self._documents("select document from named_queries where id = ?", query_id)), None)

    def named_query_ids(self, workgroup: str, limit: int, skip: int) -> list[str]:
        """Ids of a workgroup's named queries, oldest first."""
        sql = "select id from named_queries where workgroup = ? order by rowid limit ? offset ?"
        return [row[0] for row in self._rows(sql, workgroup, limit, skip)]

    def delete_named_query(self, query_id: str) -> None:
        """Delete a named query."""
        self._change("delete from named_queries where id = ?", query_id)

    # prepared statements

    def add_prepared(self, document: Document) -> bool:
        """Save a prepared statement; False when the name is taken."""
        sql = "insert or ignore into prepared_statements values (?, ?, ?)"
        return bool(self._change(sql, document["WorkGroupName"], document["StatementName"], json.dumps(document)))

    def save_prepared(self, document: Document) -> None:
        """Replace a prepared statement."""
        sql = "update prepared_statements set document = ? where workgroup = ? and name = ?"
        self._change(sql, json.dumps(document), document["WorkGroupName"], document["StatementName"])

    def prepared(self, workgroup: str, name: str) -> Document | None:
        """A prepared statement, None if there is none with this name."""
        sql = "select document from prepared_statements where workgroup = ? and name = ?"
        return next(iter(self._documents(sql, workgroup, name)), None)

    def prepared_statements(self, workgroup: str, limit: int, skip: int) -> list[Document]:
        """Prepared statements of a workgroup, in the order of their names."""
        sql = "select document from prepared_statements where workgroup = ? order by name limit ? offset ?"
        return self._documents(sql, workgroup, limit, skip)

    def delete_prepared(self, workgroup: str, name: str) -> None:
        """Delete a prepared statement."""
        self._change("delete from prepared_statements where workgroup = ? and name = ?", workgroup, name)

    # workgroups

    def uses_workgroup(self, workgroup: str) -> bool:
        """Whether anything is stored for the workgroup, which DeleteWorkGroup then refuses unless told otherwise."""
        sql = (
            "select 1 from named_queries where workgroup = ?1 union all "
            "select 1 from prepared_statements where workgroup = ?1 union all "
            "select 1 from executions where workgroup = ?1 limit 1"
        )
        return bool(self._rows(sql, workgroup))

    def delete_workgroup(self, workgroup: str) -> None:
        """Delete everything that is stored for a workgroup."""
        for table in ("executions", "named_queries", "prepared_statements"):
            self._change(f"delete from {table} where workgroup = ?", workgroup)  # noqa: S608 (a fixed name)
