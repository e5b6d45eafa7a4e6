"""What every snapshot of a table must show by itself, however the jobs were killed: each object's lines all or none,
no line and no event twice, and nothing that has been seen is gone again.

The events are those that the oracle reads from the landed objects; the rows come as Arrow tables.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa

from oracle.lines import read
from oracle.model import Enriched

EXAMPLES = 3  # of each kind of finding in a snapshot

_TWICE = "SELECT source_file, source_line FROM {rows} GROUP BY ALL HAVING count(*) > 1"
_EVENT_TWICE = "SELECT event_id FROM {rows} WHERE event_id IS NOT NULL GROUP BY ALL HAVING count(*) > 1"
_NOWHERE = "SELECT source_file, source_line FROM {rows} ANTI JOIN line USING (source_file, source_line)"

# A good line is there itself, or a copy of its event is.
_FILMS_PARTIAL = """
    SELECT source_file, source_line FROM line WHERE good AND source_file IN (SELECT source_file FROM {rows})
    AND event_id NOT IN (SELECT event_id FROM {rows} WHERE event_id IS NOT NULL)"""
_FILMS_GONE = "SELECT event_id FROM seen_event ANTI JOIN {rows} USING (event_id)"
_BAD_PARTIAL = """
    SELECT source_file, source_line FROM line ANTI JOIN {rows} USING (source_file, source_line)
    WHERE NOT good AND source_file IN (SELECT source_file FROM {rows})"""
_BAD_GONE = "SELECT source_file, source_line FROM seen_bad ANTI JOIN {rows} USING (source_file, source_line)"
_UNEVEN = "SELECT source_file FROM {rows} WHERE landed <> enriched + quarantined + duplicates"
_MISCOUNTED = """
    SELECT source_file FROM {rows} LEFT JOIN (SELECT source_file, count(*) AS lines FROM line GROUP BY ALL)
    USING (source_file) WHERE landed IS DISTINCT FROM lines"""
_DONE_WITHOUT_EVENTS = """
    SELECT source_file, source_line FROM line WHERE good AND source_file IN (SELECT source_file FROM done)
    AND event_id NOT IN (SELECT event_id FROM seen_event)"""
_DONE_WITHOUT_BAD = """
    SELECT source_file, source_line FROM line ANTI JOIN seen_bad USING (source_file, source_line)
    WHERE NOT good AND source_file IN (SELECT source_file FROM done)"""


class TornDetector:
    """Keeps every landed line that it was told of, and every row that was seen in the tables."""

    def __init__(self) -> None:
        self._db = duckdb.connect()
        self._db.execute("CREATE TABLE line (source_file TEXT, source_line INT, event_id TEXT, good BOOLEAN)")
        self._db.execute("CREATE TABLE seen_event (event_id TEXT)")
        self._db.execute("CREATE TABLE seen_bad (source_file TEXT, source_line INT)")
        self._db.execute("CREATE TABLE done (source_file TEXT)")
        self._objects: set[str] = set()

    def unknown(self, files: pa.ChunkedArray) -> list[str]:
        """Objects that rows name and that were not announced yet."""
        return sorted({str(file) for file in files.unique().to_pylist()} - self._objects)

    def announce(self, key: str, body: bytes) -> None:
        """Take note of a landed object."""
        self._objects.add(key)
        lines = read(key, body, set()).lines
        columns = {
            "source_file": pa.array([key] * len(lines), pa.string()),
            "source_line": pa.array(lines, pa.int32()),
            "event_id": pa.array([line.event_id if isinstance(line, Enriched) else None for line in lines.values()]),
            "good": pa.array([isinstance(line, Enriched) for line in lines.values()], pa.bool_()),
        }
        new = pa.table({**columns, "event_id": columns["event_id"].cast(pa.string())})
        self._db.register("new", new)
        self._db.execute("INSERT INTO line SELECT * FROM new")
        self._db.unregister("new")

    def films(self, rows: pa.Table) -> list[str]:
        """A snapshot of streaming_films: columns source_file, source_line, event_id."""
        found = self._findings(
            rows,
            {
                "line twice": _TWICE,
                "event twice": _EVENT_TWICE,
                "row of no landed line": _NOWHERE,
                "object in part": _FILMS_PARTIAL,
                "event seen before is gone": _FILMS_GONE,
            },
        )
        self._see(rows, "seen_event", "SELECT event_id FROM {rows} WHERE event_id IS NOT NULL EXCEPT FROM seen_event")
        return found

    def quarantine(self, rows: pa.Table) -> list[str]:
        """A snapshot of the quarantine: columns source_file, source_line."""
        found = self._findings(
            rows,
            {
                "line twice": _TWICE,
                "row of no landed line": _NOWHERE,
                "object in part": _BAD_PARTIAL,
                "line seen before is gone": _BAD_GONE,
            },
        )
        bad = "SELECT source_file, source_line FROM {rows} JOIN line USING (source_file, source_line) WHERE NOT good"
        self._see(rows, "seen_bad", f"{bad} EXCEPT FROM seen_bad")
        return found

    def reconciliation(self, rows: pa.Table) -> list[str]:
        """A snapshot of the counts by object: source_file, landed, enriched, quarantined, duplicates."""
        found = self._findings(rows, {"counts that do not add up": _UNEVEN, "landed miscounted": _MISCOUNTED})
        self._see(rows, "done", "SELECT DISTINCT source_file FROM {rows} EXCEPT FROM done")
        return found

    def done_objects(self) -> list[str]:
        """Objects counted as done that are not there whole. The tables must have been read after the counts."""
        nothing = pa.table({"none": pa.array([], pa.string())})
        return self._findings(
            nothing,
            {"event of a done object is missing": _DONE_WITHOUT_EVENTS, "line of a done object": _DONE_WITHOUT_BAD},
        )

    def _findings(self, rows: pa.Table, checks: dict[str, str]) -> list[str]:
        self._db.register("rows_now", rows)
        found = list(self._results(checks))
        self._db.unregister("rows_now")
        return found

    def _results(self, checks: dict[str, str]) -> Iterator[str]:
        for what, sql in checks.items():
            hits = self._db.execute(sql.format(rows="rows_now")).fetchall()
            if hits:
                shown = ", ".join(" line ".join(str(part) for part in hit) for hit in hits[:EXAMPLES])
                yield f"{what}: {len(hits)}, e.g. {shown}"

    def _see(self, rows: pa.Table, table: str, sql: str) -> None:
        self._db.register("rows_now", rows)
        self._db.execute(f"INSERT INTO {table} {sql.format(rows='rows_now')}")
        self._db.unregister("rows_now")
