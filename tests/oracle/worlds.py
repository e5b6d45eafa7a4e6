"""Small landing zones with tables that contain exactly what they must, into which tests insert faults."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from oracle import comparison
from oracle.expectation import expect
from oracle.model import Actual, Enriched, Film, Verdict
from oracle.tables import schema

FILMS = {
    n: Film(n, f"FILM {n}", "Ünder water", 2006, 1, None, 90, "PG", "Trailers", n % 3, f"C{n % 3}") for n in (1, 2)
}
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)


def key(time: datetime = NOON, number: int = 1, root: str = "streaming", folder: str = "") -> str:
    """A key as Firehose makes it; its UUID is made from ``number``."""
    return f"{root}/{folder or f'{time:%Y/%m}'}/lake-events-1-{time:%Y-%m-%d-%H-%M-%S}-{uuid.UUID(int=number)}"


def event(time: datetime = NOON, **changes: Any) -> dict[str, Any]:
    """A well-formed event of a minute earlier; a field that is set to None is left out."""
    fields: dict[str, Any] = {
        "timestamp": (time - timedelta(minutes=1)).isoformat(),
        "eventType": "rent",
        "film_id": 1,
        "distributor": "youtube",
        "platform": "ios",
        "state": "Utah",
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def body(*lines: dict[str, Any] | bytes) -> bytes:
    """Lines as an object's bytes."""
    return b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)


def identity(number: int) -> str:
    """An event id."""
    return str(uuid.UUID(int=number))


@dataclass
class World:
    """Landed objects, and rows of the tables as lists of dicts."""

    objects: dict[str, bytes] = field(default_factory=dict)
    films: list[dict[str, Any]] = field(default_factory=list)
    quarantine: list[dict[str, Any]] = field(default_factory=list)
    reconciliation: list[dict[str, Any]] = field(default_factory=list)

    def commit(self) -> World:
        """Fill the tables with what they must contain."""
        for landed in expect(self.objects.items(), FILMS).objects.values():
            text = self.objects[landed.key].split(b"\n")
            where = {"source_file": landed.key, "partition_0": landed.partition_0, "partition_1": landed.partition_1}
            counts = dict.fromkeys(comparison.COUNTS, 0)
            for number, line in landed.lines.items():
                counts["landed"] += 1
                if isinstance(line, Enriched):
                    film = FILMS.get(line.film_id)
                    said = dict(zip(comparison.EVENT, line[:8], strict=True))
                    values = film._asdict() if film else dict.fromkeys(Film._fields)
                    self.films.append({**said, **values, **where, "source_line": number})
                    counts["enriched"] += 1
                    counts["unknown_films"] += film is None
                else:
                    raw = {"raw": text[number - 1].decode(), "raw_encoding": "utf-8"}
                    self.quarantine.append({"reason": line.reason, **raw, **where, "source_line": number})
                    counts["duplicates" if line.reason == "duplicate" else "quarantined"] += 1
            self.reconciliation.append({**counts, **where, "committed_at": "2026-11-10T13:00:00Z"})
        return self

    def verdict(self, ledger: tuple[str, ...] = ()) -> Verdict:
        """The oracle's."""
        tables = [
            pa.Table.from_pylist(rows, schema(names))
            for rows, names in (
                (self.films, comparison.FILM_ROW),
                (self.quarantine, comparison.QUARANTINE_ROW),
                (self.reconciliation, comparison.RECONCILIATION_ROW),
            )
        ]
        return comparison.compare(expect(self.objects.items(), FILMS), Actual(*tables), ledger)
