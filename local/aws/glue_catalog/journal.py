"""The catalog's contents on disk, because a kill makes the emulator forget them.

``journal.jsonl`` has one record for each change: not the call but the state after it, so that applying a record twice
does no harm. ``snapshot.json`` replaces older records. Both are in the folder ``data/glue`` of a home.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local.aws.protocol import Payload
from local.engines.files import write_atomically

COMPACT_BYTES = 4_000_000  # a larger journal is moved into the snapshot

# Fields that the emulator sets itself
MADE_BY_EMULATOR = {
    "CatalogId", "CreateTime", "CreationTime", "DatabaseName", "IsRegisteredWithLakeFormation", "LastAccessTime",
    "TableName", "UpdateTime", "VersionId",
}  # fmt: skip

TableName = tuple[str, str]  # database, table


@dataclass(frozen=True)
class TableState:
    """A table's definition (None: dropped) and its versions.

    ``version`` is the VersionId that clients see; it only grows, also when the table is created in the emulator again.
    ``created`` (epoch seconds) and ``revision`` are the emulator's own CreateTime and VersionId of this definition (of
    a dropped table: its last ones); a difference from the emulator shows that it has lost the definition.
    """

    definition: Payload | None
    version: int
    created: float
    revision: int


@dataclass(frozen=True)
class DatabaseState:
    """A database's definition (None: dropped); ``created`` is the emulator's CreateTime."""

    definition: Payload | None
    created: float


@dataclass
class CatalogState:
    """The state of the catalog after all records of the journal."""

    databases: dict[str, DatabaseState] = field(default_factory=dict)
    tables: dict[TableName, TableState] = field(default_factory=dict)
    partitions: dict[TableName, dict[tuple[str, ...], Payload]] = field(default_factory=dict)

    def apply(self, record: Payload) -> None:
        """Apply one record."""
        if "database" in record:
            self.databases[record["database"]] = DatabaseState(**record["state"])
            if record["state"]["definition"] is None:
                for name in [name for name in self.tables if name[0] == record["database"]]:
                    del self.tables[name]
                    self.partitions.pop(name, None)
            return
        name = (record["table"][0], record["table"][1])
        if "state" in record:
            self.tables[name] = TableState(**record["state"])
            if record["state"]["definition"] is None:
                self.partitions.pop(name, None)
        known = self.partitions.setdefault(name, {})
        for values in record.get("drop", ()):
            known.pop(tuple(values), None)
        for partition in record.get("put", ()):
            known[tuple(partition["Values"])] = partition

    def records(self) -> list[Payload]:
        """The fewest records that give this state."""
        records: list[Payload] = [{"database": name, "state": asdict(one)} for name, one in self.databases.items()]
        for name, table in self.tables.items():
            put = list(self.partitions.get(name, {}).values())
            records.append(table_record(name, table) | ({"put": put} if put else {}))
        return records


class Journal:
    """The catalog on disk. Not thread-safe: the caller holds one lock around every change."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._snapshot, self._path = folder / "snapshot.json", folder / "journal.jsonl"
        self.catalog = CatalogState()
        if self._snapshot.exists():
            for record in json.loads(self._snapshot.read_text()):
                self.catalog.apply(record)
        self._file = self._path.open("ab")
        whole = 0
        for line in self._path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break  # incomplete after a kill: its change was never acknowledged
            self.catalog.apply(json.loads(line))
            whole += len(line)
        self._file.truncate(whole)
        self._file.seek(whole)

    def append(self, *records: Payload) -> None:
        """Write records to disk, then apply them to ``catalog``."""
        self._file.write(b"".join(json.dumps(record).encode() + b"\n" for record in records))
        self._file.flush()
        os.fsync(self._file.fileno())
        for record in records:
            self.catalog.apply(record)
        if self._file.tell() > COMPACT_BYTES:
            self.compact()

    def compact(self) -> None:
        """Move all records into the snapshot. After a kill in between, the journal repeats records of the snapshot."""
        write_atomically(self._snapshot, json.dumps(self.catalog.records()))
        self._file.truncate(0)
        self._file.seek(0)
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def database_record(name: str, definition: Payload | None, created: float) -> Payload:
    """The record of a database's definition, or of its deletion (None)."""
    return {"database": name, "state": {"definition": definition, "created": created}}


def table_record(name: TableName, state: TableState) -> Payload:
    """The record of a table's state."""
    return {"table": list(name), "state": asdict(state)}


def definition_of(stored: Payload) -> Payload:
    """The definition of an entity as a client gave it, from the emulator's description."""
    return {name: value for name, value in stored.items() if name not in MADE_BY_EMULATOR and value is not None}


def canonical_json(value: Any) -> str:
    """A value as JSON with sorted keys, for comparing definitions."""
    return json.dumps(value, sort_keys=True)
