"""Compares the tables with what they must contain: every row with its line, every line with its row."""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oracle.lines import HOUR, digest, place
from oracle.model import Actual, Enriched, Expected, Film, Finding, Landed, Quarantined, Verdict

EVENT = ("timestamp", "eventtype", "film_id_streaming", "distributor", "platform", "state", "event_id", "event_time")
PARTITION = ("partition_0", "partition_1")
LINE = ("source_file", "source_line")
FILM_ROW = (*EVENT[:6], *PARTITION, *Film._fields, *EVENT[6:], *LINE)
QUARANTINE_ROW = ("reason", "raw", "raw_encoding", *LINE, *PARTITION)
COUNTS = ("landed", "enriched", "quarantined", "duplicates", "unknown_films")
RECONCILIATION_ROW = ("committed_at", "source_file", *COUNTS, *PARTITION)

_IN_FILMS, _IN_QUARANTINE = 1, 2
_NO_FILM = (None,) * len(Film._fields)
_MODULUS = 2**128


def compare(expected: Expected, actual: Actual, ledger: Iterable[str] = ()) -> Verdict:
    """Compare the tables with what must be in them.

    ``ledger``: event ids that were acknowledged to a producer; each must be in a landed object or in a table.
    """
    return _Comparison(expected, actual).run(ledger)


def row_hash(rows: Iterable[Sequence[Any]]) -> int:
    """A hash of rows of streaming_films (19 columns, event_id, event_time) that does not depend on their order.

    The sum, modulo 2**128, over all rows of the first 16 bytes, big-endian, of the SHA-256 of the row as a JSON array
    in UTF-8 without white space: ``json.dumps(row, ensure_ascii=False, separators=(",", ":"))``.
    """
    total = 0
    for row in rows:
        total += int.from_bytes(sha256(_ENCODE(row).encode()).digest()[:16], "big")
    return total % _MODULUS


_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class _Comparison:
    """Makes one pass over each table; ``_marks`` records for each landed line the tables that have a row of it."""

    def __init__(self, expected: Expected, actual: Actual) -> None:
        self._expected, self._actual = expected, actual
        self._marks = {key: bytearray(max(one.lines, default=0) + 1) for key, one in expected.objects.items()}
        self._without_object: Counter[str] = Counter()  # rows of objects that are not in landing, by object
        self._unknown_films: Counter[str] = Counter()  # rows of unknown films, by object
        self._verdict = Verdict(snapshots=dict(actual.snapshots))

    def run(self, ledger: Iterable[str]) -> Verdict:
        verdict = self._verdict
        verdict.hash = row_hash(self._check_film_rows())
        verdict.unknown_films = self._unknown_films.total()
        self._check_quarantine_rows()
        self._find_lost_lines()
        self._find_events_counted_twice()
        self._check_reconciliation()
        self._check_ledger(ledger)
        verdict.gone = [
            Finding(f"{rows} rows of an object that is not in landing", key)
            for key, rows in self._without_object.items()
        ]
        return verdict

    def _check_film_rows(self) -> Iterator[tuple[Any, ...]]:
        """Check every row of streaming_films, and yield its 21 columns without source_file and source_line."""
        verdict, films = self._verdict, self._expected.films
        event_columns = [FILM_ROW.index(name) for name in EVENT]
        for row in _rows(self._actual.films, FILM_ROW):
            key, number = row[-2:]
            verdict.enriched += 1
            if row[8] is None:
                self._unknown_films[key] += 1
            landed = self._expected.objects.get(key)
            yield row[:-2]
            if landed is None:
                self._without_object[key] += 1
                continue
            line = self._mark(landed, number, _IN_FILMS)
            self._check_partition(landed, number, row[6:8])
            if isinstance(line, Quarantined):
                self._find("misplaced", f"in streaming_films, must be in quarantine as {line.reason}", key, number)
            elif line:
                found = tuple(row[i] for i in event_columns)
                if found != line[:8]:
                    self._differ(EVENT, line[:8], found, key, number)
                film = films.get(line.film_id, _NO_FILM)
                if row[8:19] != film:
                    if any(row[8:19] == older.get(line.film_id, _NO_FILM) for older in self._expected.older_films):
                        verdict.outdated += 1
                    else:
                        self._differ(Film._fields, film, row[8:19], key, number)

    def _check_quarantine_rows(self) -> None:
        for reason, raw, encoding, key, number, *partition in _rows(self._actual.quarantine, QUARANTINE_ROW):
            self._verdict.quarantined[reason] += 1
            landed = self._expected.objects.get(key)
            if landed is None:
                self._without_object[key] += 1
                continue
            line = self._mark(landed, number, _IN_QUARANTINE)
            self._check_partition(landed, number, tuple(partition))
            if isinstance(line, Enriched):
                self._find("misplaced", f"in quarantine as {reason}, must be in streaming_films", key, number)
            elif line:
                must = (line.reason, line.encoding)
                if (reason, encoding) != must:
                    self._differ(("reason", "raw_encoding"), must, (reason, encoding), key, number)
                elif digest(_bytes(raw, encoding)) != line.digest:
                    self._find("wrong", "raw is not what landed", key, number)

    def _mark(self, landed: Landed, number: int, table: int) -> Enriched | Quarantined | None:
        """Mark a row's line and return it; a second row, or a line that never landed (None), is a finding."""
        line = landed.lines.get(number)
        if line is None:
            self._find("wrong", "a row of a line that is blank or never landed", landed.key, number)
            return None
        marks = self._marks[landed.key]
        if marks[number]:
            where = {1: "twice in streaming_films", 2: "twice in quarantine", 3: "in both tables"}
            self._find("doubled", where[marks[number] | table], landed.key, number)
        marks[number] |= table
        return line

    def _check_partition(self, landed: Landed, number: int | None, found: tuple[Any, ...]) -> None:
        if found != (landed.partition_0, landed.partition_1):
            self._find("misplaced", f"in partition {'-'.join(map(str, found))}", landed.key, number)

    def _find_lost_lines(self) -> None:
        """Find lines without a row, and objects of which only some lines have one."""
        verdict = self._verdict
        verdict.objects = len(self._marks)
        for key, landed in self._expected.objects.items():
            marks = self._marks[key]
            lost = [number for number in landed.lines if not marks[number]]
            verdict.landed += len(landed.lines)
            for number in lost:
                line = landed.lines[number]
                must = "streaming_films" if isinstance(line, Enriched) else f"quarantine as {line.reason}"
                self._find("lost", f"nowhere, must be in {must}", key, number)
            if 0 < len(lost) < len(landed.lines):
                self._find("torn", f"{len(landed.lines) - len(lost)} of {len(landed.lines)} lines are there", key)

    def _find_events_counted_twice(self) -> None:
        """Find rows of streaming_films with the same event_id whose objects are at most 48 hours apart."""
        table = self._actual.films.select(["event_id", *LINE])
        counts = pc.value_counts(table["event_id"].drop_null().combine_chunks())
        shared = counts.field(0).filter(pc.greater(counts.field(1), 1))
        copies: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
        for event_id, key, number in _rows(table.filter(pc.is_in(table["event_id"], shared)), ("event_id", *LINE)):
            time = place(key).time
            if event_id is not None and time is not None:
                copies[event_id].append((time, key, number))
        for event_id, ranked in copies.items():
            ranked.sort()
            for one, (later, key, number) in pairwise(ranked):
                if later - one[0] <= 48 * HOUR and one[1:] != (key, number):
                    self._find("doubled", f"event {event_id} is also counted in {one[1]}", key, number)

    def _check_reconciliation(self) -> None:
        """Compare the newest reconciliation row of each object with its lines and with the tables' rows."""
        if self._actual.reconciliation is None:
            return
        newest: dict[str, list[tuple[Any, ...]]] = {}
        for row in _rows(self._actual.reconciliation, RECONCILIATION_ROW):
            key = row[1]
            if key not in self._expected.objects:
                self._without_object[key] += 1
                continue
            self._check_partition(self._expected.objects[key], None, row[-2:])
            present = newest.setdefault(key, [row])
            if row[0] > present[0][0]:
                newest[key] = [row]
            elif row[0] == present[0][0]:
                present.append(row)
        for key, landed in self._expected.objects.items():
            if key in newest:
                must = self._counts(landed)
                found = [row[2:7] for row in newest[key]]
                if must not in found:  # with several rows of the same second, any of them may be the last
                    self._differ(COUNTS, must, found[-1], key, None, "unreconciled")
            elif any(self._marks[key]):
                self._find("unreconciled", "no row in streaming_reconciliation", key)

    def _counts(self, landed: Landed) -> tuple[int, ...]:
        lines = landed.lines.values()
        enriched = sum(isinstance(line, Enriched) for line in lines)
        duplicates = sum(isinstance(line, Quarantined) and line.reason == "duplicate" for line in lines)
        return len(lines), enriched, len(lines) - enriched - duplicates, duplicates, self._unknown_films[landed.key]

    def _check_ledger(self, ledger: Iterable[str]) -> None:
        missing = {event_id.lower() for event_id in ledger} - self._expected.event_ids
        if missing:
            missing -= set(self._actual.films["event_id"].to_pylist())
        for event_id in sorted(missing):
            self._find("lost", f"acknowledged event {event_id} is in no landed object and in no table")

    def _find(self, fault: str, what: str, key: str = "", number: int | None = None) -> None:
        getattr(self._verdict, fault).append(Finding(what, key, number))

    def _differ(
        self,
        names: Sequence[str],
        must: Sequence[Any],
        found: Sequence[Any],
        key: str,
        number: int | None,
        fault: str = "wrong",
    ) -> None:
        """Add a finding for each column that differs."""
        for name, expected, value in zip(names, must, found, strict=True):
            if expected != value:
                self._find(fault, f"{name} is {value!r}, must be {expected!r}", key, number)


def _rows(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for batch in table.select(list(names)).to_batches(max_chunksize=20_000):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _bytes(raw: str | None, encoding: str) -> bytes:
    """The landed bytes of a row of the quarantine."""
    return (raw or "").encode() if encoding == "utf-8" else base64.b64decode(raw or "")
