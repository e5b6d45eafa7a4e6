"""The client of Trino: sends a statement, polls it, stops it, and counts the bytes that it read."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import requests
from trino.client import ClientSession, TrinoRequest
from trino.exceptions import HttpError, TrinoConnectionError, TrinoQueryError

from local.aws.settings import HOST, AwsSettings
from local.engines.waiting import wait_until

USER = "athena"
_HEADERS = {"X-Trino-User": USER}
_ENDED = ("FINISHED", "FAILED")
# Trino counts the Parquet footer that it reads first, 16,384 bytes of each split; Athena counts only column chunks.
FOOTER_BYTES = 16_384
# For up to five seconds after its start, and when the machine is too busy for its announcements, Trino does not know
# its own node and refuses a statement before it runs. The statement is sent again, as Athena waits for capacity.
NO_NODES = "NO_NODES_AVAILABLE"
NO_NODES_SECONDS = 60
_UNITS = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_POSITION = re.compile(r"line (\d+):(\d+):")
_FILTERED_OPTIMIZE = ("NOT_SUPPORTED", "OPTIMIZE takes WHERE on partition columns only in the local home")
# What Athena adds to Trino's message, by the name of the error.
_ADDED = {"COLUMN_NOT_FOUND": " or requester is not authorized to access requested resources"}


class EngineError(Exception):
    """An error of Trino: its name, the message that AWS would print after it, and whether the user caused it."""

    def __init__(self, name: str, message: str, user: bool) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message, self.user = name, message, user


class TrinoQuery:
    """One statement in Trino; iterating over it runs it and yields batches of raw rows (JSON values)."""

    def __init__(
        self, settings: AwsSettings, sql: str, database: str, properties: dict[str, str] | None = None
    ) -> None:
        session = ClientSession(
            user=USER,
            catalog="awsdatacatalog",
            schema=database,
            source="athena",
            properties=properties or {},
            timezone="UTC",
        )
        self._request = TrinoRequest(HOST, settings.trino_port, session, http_scheme="http")
        self._info = f"http://{HOST}:{settings.trino_port}/v1/query"
        self._sql = sql
        self._next: str | None = None
        self.id = ""
        self.columns: list[dict[str, Any]] | None = None
        self.update_count: int | None = None
        self.stats: dict[str, Any] = {}

    def __iter__(self) -> Iterator[list[list[Any]]]:
        """One batch of rows, maybe empty, for each poll; Trino answers a poll within a second. Raises EngineError."""
        deadline = time.monotonic() + NO_NODES_SECONDS
        while True:
            try:
                yield from self._rows()
                return
            except EngineError as error:
                if error.name != NO_NODES or time.monotonic() > deadline:
                    raise
            yield []  # so that the caller can cancel
            time.sleep(0.5)

    def _rows(self) -> Iterator[list[list[Any]]]:
        try:
            status = self._request.process(self._request.post(self._sql))
            while True:
                self.id, self.stats, self._next = status.id, status.stats, status.next_uri
                self.columns = status.columns or self.columns
                self.update_count = status.update_count if status.update_count is not None else self.update_count
                yield status.rows if isinstance(status.rows, list) else []
                if not self._next:
                    return
                status = self._request.process(self._request.get(self._next))
        except TrinoQueryError as error:
            name = str(error.error_name)
            if "Unexpected FilterNode found in plan" in str(error.message):
                raise EngineError(*_FILTERED_OPTIMIZE, user=True) from error
            message = f"{error.message}{_ADDED.get(name, '')}"
            raise EngineError(name, message, error.error_type == "USER_ERROR") from error
        except (requests.RequestException, HttpError, TrinoConnectionError) as error:
            raise EngineError("ENGINE_UNAVAILABLE", f"The query engine does not answer: {error}", user=False) from error

    def cancel(self) -> None:
        """Have Trino stop it."""
        if self._next:
            self._request.delete(self._next)
            self._next = None

    def wait_for_end(self) -> None:
        """Wait until a cancelled statement has ended, ten seconds at most."""
        with suppress(requests.RequestException, TimeoutError):  # no connection: Trino itself has ended
            wait_until(self._has_ended, 10, f"{self.id} has not ended", pause=0.05)

    def _has_ended(self) -> bool:
        reply = self._get_info()
        return not reply.ok or reply.json()["state"] in _ENDED

    def _get_info(self) -> requests.Response:
        return requests.get(f"{self._info}/{self.id}", headers=_HEADERS, timeout=10)

    @property
    def bytes_at_least(self) -> int:
        """A lower bound of the bytes read so far: a Parquet footer is subtracted for every split."""
        footers = FOOTER_BYTES * int(self.stats.get("completedSplits", 0))
        return max(0, int(self.stats.get("physicalInputBytes", 0)) - footers)

    def scans(self) -> list[tuple[str, int, int]]:
        """("database.table", bytes read, splits read) of every table scan of a statement that has ended."""
        if not self.stats.get("physicalInputBytes"):
            return []
        reply = self._get_info()
        if not reply.ok:  # Trino forgets ended statements after a while
            return [("", self.bytes_at_least, 0)]
        info = reply.json()
        names = _scanned_tables(info.get("outputStage"))
        return [
            (names.get(operator["planNodeId"], ""), read, int(operator["totalDrivers"]))
            for operator in info["queryStats"]["operatorSummaries"]
            if (read := _bytes(operator["physicalInputDataSize"]))
        ]


def all_rows(query: TrinoQuery) -> list[list[Any]]:
    """All rows of a short statement."""
    return [row for batch in query for row in batch]


def io_plan(settings: AwsSettings, sql: str, database: str) -> str:
    """Trino's JSON plan of a statement's inputs and output. Raises EngineError, its positions those in ``sql``."""
    return str(_rows_below_own_line(TrinoQuery(settings, f"EXPLAIN (TYPE IO, FORMAT JSON)\n{sql}", database))[0][0])


def check_syntax(settings: AwsSettings, sql: str) -> None:
    """Raise EngineError SYNTAX_ERROR when Trino cannot parse ``sql``."""
    _rows_below_own_line(TrinoQuery(settings, f"PREPARE checked FROM\n{sql}", "default"))


def cancel_all(settings: AwsSettings) -> None:
    """Stop all statements that an earlier server left running in Trino."""
    url = f"http://{HOST}:{settings.trino_port}/v1/query"
    try:
        for query in requests.get(url, headers=_HEADERS, timeout=5).json():
            if query["state"] not in _ENDED:
                requests.delete(f"{url}/{query['queryId']}", headers=_HEADERS, timeout=5)
    except (requests.RequestException, ValueError):
        return  # Trino is not up, so nothing runs in it


def _rows_below_own_line(query: TrinoQuery) -> list[list[Any]]:
    """All rows of a statement to which a first line was added; positions in errors do not count that line."""
    try:
        return all_rows(query)
    except EngineError as error:
        message = _POSITION.sub(lambda m: f"line {int(m[1]) - 1}:{m[2]}:", error.message, count=1)
        raise EngineError(error.name, message, error.user) from error


def _scanned_tables(stage: dict[str, Any] | None) -> dict[str, str]:
    """For each plan node that reads one table (a scan, a filter or projection above it): its database.table."""
    found: dict[str, str] = {}

    def add(node: dict[str, Any], tables: dict[str, Any]) -> str | None:
        sources = [node[key] for key in ("source", "left", "right") if key in node] + node.get("sources", [])
        below = [add(source, tables) for source in sources]
        scan = tables.get(node["id"])
        own = ".".join(scan["tableName"].split(".")[-2:]) if scan else below[0] if len(below) == 1 else None
        if own:
            found[node["id"]] = own
        return own

    waiting = [stage] if stage else []
    while waiting:
        part = waiting.pop()
        add(part["plan"]["root"], part.get("tables") or {})
        waiting += part.get("subStages") or []
    return found


def _bytes(size: str) -> int:
    match = re.fullmatch(r"([\d.]+)([kMGT]?B)", size)
    if not match:
        raise ValueError(f"not a size: {size}")
    return int(float(match[1]) * _UNITS[match[2]])
