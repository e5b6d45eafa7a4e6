"""What the catalog must hold, kept on disk because the emulator forgets it when it is killed.

``journal.jsonl`` has one record a change: not the call but the state after it, so that reading it twice does no harm.
``snapshot.json`` is the sum of older records. Both are one home's, in its folder ``data/glue``.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local.aws.protocol import Payload
from local.engines.files import write_atomically

COMPACT_BYTES = 4_000_000  # a journal of this size becomes part of the snapshot

# Fields that the emulator sets itself.
MADE_BY_EMULATOR = {
    "CatalogId", "CreateTime", "CreationTime", "DatabaseName", "IsRegisteredWithLakeFormation", "LastAccessTime",
    "TableName", "UpdateTime", "VersionId",
}  # fmt: skip

Name = tuple[str, str]  # database, table


@dataclass(frozen=True)
class Table:
    """A table's definition (None: dropped) and where it stands.

    ``version`` is the VersionId that clients see: it only grows, also when the emulator has to be told the table anew.
    ``created`` (epoch seconds) and ``revision`` are the emulator's own for this definition (of a dropped table: its
    last); they tell whether the emulator has lost it.
    """

    definition: Payload | None
    version: int
    created: float
    revision: int


@dataclass(frozen=True)
class Database:
    """A database's definition (None: dropped); ``created`` is when the emulator made it."""

    definition: Payload | None
    created: float


@dataclass
class Catalog:
    """Everything the journal says."""

    databases: dict[str, Database] = field(default_factory=dict)
    tables: dict[Name, Table] = field(default_factory=dict)
    partitions: dict[Name, dict[tuple[str, ...], Payload]] = field(default_factory=dict)

    def apply(self, record: Payload) -> None:
        """Take in one record."""
        if "database" in record:
            self.databases[record["database"]] = Database(**record["state"])
            if record["state"]["definition"] is None:
                for name in [name for name in self.tables if name[0] == record["database"]]:
                    del self.tables[name]
                    self.partitions.pop(name, None)
            return
        name = (record["table"][0], record["table"][1])
        if "state" in record:
            self.tables[name] = Table(**record["state"])
            if record["state"]["definition"] is None:
                self.partitions.pop(name, None)
        known = self.partitions.setdefault(name, {})
        for values in record.get("drop", ()):
            known.pop(tuple(values), None)
        for partition in record.get("put", ()):
            known[tuple(partition["Values"])] = partition

    def records(self) -> list[Payload]:
        """The fewest records that say all of it."""
        told: list[Payload] = [
            {"database": name, "state": asdict(database)} for name, database in self.databases.items()
        ]
        for name, table in self.tables.items():
            record: Payload = {"table": list(name), "state": asdict(table)}
            if put := list(self.partitions.get(name, {}).values()):
                record["put"] = put
            told.append(record)
        return told


class Journal:
    """The catalog on disk. Not safe for threads: its user holds one lock around every change."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._snapshot, self._path = folder / "snapshot.json", folder / "journal.jsonl"
        self.catalog = Catalog()
        if self._snapshot.exists():
            for record in json.loads(self._snapshot.read_text()):
                self.catalog.apply(record)
        self._file = self._path.open("ab")
        whole = 0
        for line in self._path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break  # torn by a kill: its change was never acknowledged
            self.catalog.apply(json.loads(line))
            whole += len(line)
        self._file.truncate(whole)
        self._file.seek(whole)

    def append(self, *records: Payload) -> None:
        """Put records on disk, then into ``catalog``."""
        self._file.write(b"".join(json.dumps(record).encode() + b"\n" for record in records))
        self._file.flush()
        os.fsync(self._file.fileno())
        for record in records:
            self.catalog.apply(record)
        if self._file.tell() > COMPACT_BYTES:
            self.compact()

    def compact(self) -> None:
        """Move all records into the snapshot. Killed in between, the journal merely repeats what the snapshot says."""
        write_atomically(self._snapshot, json.dumps(self.catalog.records()))
        self._file.truncate(0)
        self._file.seek(0)
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def database_record(name: str, definition: Payload | None, created: float) -> Payload:
    """The record of a database as it is now, or of its drop."""
    return {"database": name, "state": {"definition": definition, "created": created}}


def table_record(name: Name, state: Table) -> Payload:
    """The record of a table as it is now."""
    return {"table": list(name), "state": asdict(state)}


def definition_of(stored: Payload) -> Payload:
    """What was given to make an entity, out of what the emulator says of it."""
    return {name: value for name, value in stored.items() if name not in MADE_BY_EMULATOR and value is not None}


def any_text(value: Any) -> str:
    """A stable text of a definition, to compare two."""
    return json.dumps(value, sort_keys=True)
