"""Trino as seen from here: send a statement, poll it, stop it, count the bytes it really read."""

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

USER = "athena"
# Trino's Parquet reader counts the footer it reads first, 16,384 bytes of each split; Athena counts column chunks only.
FOOTER_BYTES = 16_384
# For up to five seconds after its start, and on a machine too busy for its announcements, Trino does not know its own
# node. Nothing of the statement has run then: it is sent again, as Athena's wait for capacity.
NO_NODES = "NO_NODES_AVAILABLE"
NO_NODES_SECONDS = 60
_UNITS = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_POSITION = re.compile(r"line (\d+):(\d+):")
_OPTIMIZE_WHERE = ("NOT_SUPPORTED", "OPTIMIZE takes WHERE on partition columns only in the local home")
_WORDS = {"COLUMN_NOT_FOUND": " or requester is not authorized to access requested resources"}


class EngineError(Exception):
    """Trino's refusal: ``name`` is its error name, ``message`` what AWS would print after it."""

    def __init__(self, name: str, message: str, user: bool) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message, self.user = name, message, user


class TrinoQuery:
    """One statement in Trino; iterate over it for batches of raw rows (JSON values) until it has ended."""

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
        """Batches of rows, some empty: one a poll (Trino answers within a second). Raises EngineError."""
        deadline = time.monotonic() + NO_NODES_SECONDS
        while True:
            try:
                yield from self._rows()
                return
            except EngineError as error:
                if error.name != NO_NODES or time.monotonic() > deadline:
                    raise
            yield []  # the caller may cancel meanwhile
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
                raise EngineError(*_OPTIMIZE_WHERE, user=True) from error
            message = f"{error.message}{_WORDS.get(name, '')}"
            raise EngineError(name, message, error.error_type == "USER_ERROR") from error
        except (requests.RequestException, HttpError, TrinoConnectionError) as error:
            raise EngineError("ENGINE_UNAVAILABLE", f"The query engine does not answer: {error}", user=False) from error

    def cancel(self) -> None:
        """Stop it in Trino."""
        if self._next:
            self._request.delete(self._next)
            self._next = None

    def wait_for_end(self) -> None:
        """Return when a cancelled statement has ended, after ten seconds at the latest."""
        deadline = time.monotonic() + 10
        with suppress(requests.RequestException):  # Trino itself has ended
            while time.monotonic() < deadline:
                reply = requests.get(f"{self._info}/{self.id}", headers={"X-Trino-User": USER}, timeout=10)
                if not reply.ok or reply.json()["state"] in ("FINISHED", "FAILED"):
                    return
                time.sleep(0.05)

    @property
    def bytes_at_least(self) -> int:
        """Bytes read so far, too few rather than too many: every split is taken for a Parquet footer."""
        return max(
            0, int(self.stats.get("physicalInputBytes", 0)) - FOOTER_BYTES * int(self.stats.get("completedSplits", 0))
        )

    def scans(self) -> list[tuple[str, int, int]]:
        """("database.table", bytes read, splits read) of every table scan of the ended statement."""
        if not self.stats.get("physicalInputBytes"):
            return []
        reply = requests.get(f"{self._info}/{self.id}", headers={"X-Trino-User": USER}, timeout=10)
        if not reply.ok:  # Trino forgets ended statements after a while
            return [("", self.bytes_at_least, 0)]
        info = reply.json()
        names = _scans(info.get("outputStage"))
        return [
            (names.get(operator["planNodeId"], ""), read, int(operator["totalDrivers"]))
            for operator in info["queryStats"]["operatorSummaries"]
            if (read := _bytes(operator["physicalInputDataSize"]))
        ]


def drain(run: TrinoQuery) -> list[list[Any]]:
    """All rows of a short statement."""
    return [row for rows in run for row in rows]


def io_plan(settings: AwsSettings, sql: str, database: str) -> str:
    """Trino's JSON plan of a statement's inputs and output; EngineError positions are those of ``sql``."""
    return str(_shifted(TrinoQuery(settings, f"EXPLAIN (TYPE IO, FORMAT JSON)\n{sql}", database))[0][0])


def check_syntax(settings: AwsSettings, sql: str) -> None:
    """Raise EngineError SYNTAX_ERROR when Trino cannot parse ``sql``."""
    _shifted(TrinoQuery(settings, f"PREPARE checked FROM\n{sql}", "default"))


def abandon_all(settings: AwsSettings) -> None:
    """Stop whatever an earlier server left running in Trino."""
    url, headers = f"http://{HOST}:{settings.trino_port}/v1/query", {"X-Trino-User": USER}
    try:
        for query in requests.get(url, headers=headers, timeout=5).json():
            if query["state"] not in ("FINISHED", "FAILED"):
                requests.delete(f"{url}/{query['queryId']}", headers=headers, timeout=5)
    except (requests.RequestException, ValueError):
        return  # Trino is not up, so nothing runs in it


def _shifted(run: TrinoQuery) -> list[list[Any]]:
    """Rows of a run whose first line is ours: positions in errors count without it."""
    try:
        return drain(run)
    except EngineError as error:
        message = _POSITION.sub(lambda m: f"line {int(m[1]) - 1}:{m[2]}:", error.message, count=1)
        raise EngineError(error.name, message, error.user) from error


def _scans(stage: dict[str, Any] | None) -> dict[str, str]:
    """Plan node: "database.table", for every node that reads one table (a scan, or filters and projections over it)."""
    found: dict[str, str] = {}

    def name(node: dict[str, Any], tables: dict[str, Any]) -> str | None:
        sources = [node[key] for key in ("source", "left", "right") if key in node] + node.get("sources", [])
        below = [name(source, tables) for source in sources]
        scan = tables.get(node["id"])
        own = ".".join(scan["tableName"].split(".")[-2:]) if scan else below[0] if len(below) == 1 else None
        if own:
            found[node["id"]] = own
        return own

    waiting = [stage] if stage else []
    while waiting:
        part = waiting.pop()
        name(part["plan"]["root"], part.get("tables") or {})
        waiting += part.get("subStages") or []
    return found


def _bytes(size: str) -> int:
    match = re.fullmatch(r"([\d.]+)([kMGT]?B)", size)
    if not match:
        raise ValueError(f"not a size: {size}")
    return int(float(match[1]) * _UNITS[match[2]])
