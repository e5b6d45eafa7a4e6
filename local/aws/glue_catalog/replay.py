"""Keeps the emulator's catalog and the journal together: notices loss, restores, numbers the versions of tables."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from local.aws.glue_catalog.journal import (
    Database,
    Journal,
    Name,
    Table,
    any_text,
    database_record,
    definition_of,
    table_record,
)
from local.aws.glue_catalog.replies import table_input
from local.aws.protocol import AwsError, Payload

log = logging.getLogger("glue_catalog")

NOT_FOUND = "EntityNotFoundException"


class Keeper:
    """Reads and restores. ``call`` reaches the emulator under root; ``lock`` is held around every change."""

    def __init__(self, call: Callable[[str, Payload], Payload], journal: Journal, lock: threading.RLock) -> None:
        self._call, self._journal, self._lock = call, journal, lock

    # tables as clients see them

    def table(self, database: str, table: str) -> Payload:
        """A table with the VersionId that clients see; restores the catalog first if the emulator has lost it.

        Raises EntityNotFoundException.
        """
        name = (database, table)
        stored = self._stored(name)
        if self._differs(name, stored):
            with self._lock:  # a change may just be under way: look again behind it
                stored = self.settled(name)
        if stored is None:
            raise AwsError(NOT_FOUND, f"Table {table} not found in {database}")
        return self._numbered(stored)

    def tables(self, database: str, expression: str = "") -> list[Payload]:
        """All tables of a database, as ``table`` gives them."""
        wanted: Payload = {"DatabaseName": database} | ({"Expression": expression} if expression else {})
        stored = self._call("GetTables", wanted)["TableList"]
        if any(self._differs((database, table["Name"]), table) for table in stored):
            with self._lock:
                for table in self._call("GetTables", wanted)["TableList"]:
                    if self._differs((database, table["Name"]), table):
                        self._settle((database, table["Name"]), table)
                stored = self._call("GetTables", wanted)["TableList"]
        return [self._numbered(table) for table in stored]

    def adopt(self, name: Name) -> Table:
        """The journal's state of a table that is about to change; a table that it does not know is taken in first.

        Raises EntityNotFoundException. The caller holds the lock.
        """
        stored = self.settled(name)
        if stored is None:
            raise AwsError(NOT_FOUND, f"Table {name[1]} not found in {name[0]}")
        if self._known(name) is None:
            self._take_in(name, stored)
        return self._journal.catalog.tables[name]

    def settled(self, name: Name) -> Payload | None:
        """The emulator's table, or None, after loss was made good; the caller holds the lock."""
        stored = self._stored(name)
        if self._differs(name, stored):
            self._settle(name, stored)
            stored = self._stored(name)
        return stored

    def note_table(self, name: Name, version: int) -> None:
        """Journal a table as the emulator now has it."""
        stored = self._stored(name)
        if stored is None:
            raise AwsError("InternalFailure", f"{name} vanished while it was changed", 500)
        self._journal.append(table_record(name, _state(stored, version)))

    def note_partitions(self, name: Name, values: Sequence[Sequence[str]]) -> None:
        """Journal these partitions of a table as the emulator now has them, or has them no longer."""
        table: Payload = {"DatabaseName": name[0], "TableName": name[1]}
        asked = [{"Values": list(value)} for value in values]
        found = self._call("BatchGetPartition", {**table, "PartitionsToGet": asked})["Partitions"]
        put = [definition_of(partition) for partition in found]
        there = {tuple(partition["Values"]) for partition in put}
        drop = [list(value) for value in values if tuple(value) not in there]
        self._journal.append({"table": list(name), "put": put, "drop": drop})

    def database(self, name: str) -> Payload:
        """A database; restores the catalog first if the emulator has lost it. Raises EntityNotFoundException."""
        try:
            found: Payload = self._call("GetDatabase", {"Name": name})["Database"]
        except AwsError as error:
            known = self._journal.catalog.databases.get(name)
            if error.code != NOT_FOUND or known is None or known.definition is None:
                raise
            with self._lock:
                self.replay()
            found = self._call("GetDatabase", {"Name": name})["Database"]
        return found

    # restoring

    def replay(self) -> Payload:
        """Restore every entity that the emulator has lost; the caller holds the lock."""
        restored: list[str] = []
        skipped: list[str] = []
        catalog = self._journal.catalog
        actual = {d["Name"]: d for d in self._call("GetDatabases", {})["DatabaseList"]}
        for database, wanted in list(catalog.databases.items()):
            if self._restore_database(database, wanted, actual.get(database)):
                restored.append(database)
        present = {d["Name"] for d in self._call("GetDatabases", {})["DatabaseList"]}
        for name in list(catalog.tables):
            if name[0] not in present:
                if catalog.tables[name].definition is not None:
                    skipped.append(".".join(name))
            elif self._restore(name, self._stored(name)):
                restored.append(".".join(name))
        return {"restored": restored, "skipped": skipped}

    def _restore_database(self, name: str, wanted: Database, actual: Payload | None) -> bool:
        if wanted.definition is None:
            if actual is None or actual["CreateTime"] > wanted.created:
                return False
            self._call("DeleteDatabase", {"Name": name})
            return True
        if actual is not None and actual["CreateTime"] < wanted.created:  # one that was dropped since
            self._call("DeleteDatabase", {"Name": name})
            actual = None
        if actual is None:
            self._call("CreateDatabase", {"DatabaseInput": wanted.definition})
            stored = self._call("GetDatabase", {"Name": name})["Database"]
            self._journal.append(database_record(name, wanted.definition, stored["CreateTime"]))
            return True
        if actual["CreateTime"] > wanted.created or any_text(definition_of(actual)) == any_text(wanted.definition):
            return False
        self._call("UpdateDatabase", {"Name": name, "DatabaseInput": wanted.definition})
        return True

    def _settle(self, name: Name, stored: Payload | None) -> None:
        """The emulator and the journal differ on a table: one of them is behind."""
        known = self._journal.catalog.tables[name]
        if stored is not None and _stamp(stored) > (known.created, known.revision):
            log.warning("%s was changed past this server; taken in", ".".join(name))
            self._journal.append(table_record(name, _state(stored, known.version + 1)))
            return
        log.warning("the emulator has lost %s; replayed: %s", ".".join(name), self.replay())

    def _restore(self, name: Name, stored: Payload | None) -> bool:
        """Bring one table and its partitions to the journal's state; whether there was anything to do."""
        known = self._journal.catalog.tables[name]
        whose: Payload = {"DatabaseName": name[0]}
        if known.definition is None:
            if stored is None or stored["CreateTime"] > known.created:
                return False
            self._call("DeleteTable", {**whose, "Name": name[1]})
            return True
        changed = False
        if stored is None:
            self._call("CreateTable", {**whose, "TableInput": table_input(known.definition)})
            changed = True
        elif _stamp(stored) > (known.created, known.revision):
            self._journal.append(table_record(name, _state(stored, known.version + 1)))
        elif _stamp(stored) < (known.created, known.revision):
            self._call("UpdateTable", {**whose, "TableInput": table_input(known.definition)})
            changed = True
        if changed:
            self.note_table(name, known.version)
        return self._restore_partitions(name) or changed

    def _restore_partitions(self, name: Name) -> bool:
        wanted = self._journal.catalog.partitions.get(name, {})
        table: Payload = {"DatabaseName": name[0], "TableName": name[1]}
        stored = self._call("GetPartitions", table)["Partitions"]
        actual = {tuple(partition["Values"]): any_text(definition_of(partition)) for partition in stored}
        missing = [partition for values, partition in wanted.items() if values not in actual]
        stale = [p for values, p in wanted.items() if values in actual and any_text(p) != actual[values]]
        extra = [values for values in actual if values not in wanted]
        if missing:
            self._call("BatchCreatePartition", {**table, "PartitionInputList": missing})
        for partition in stale:
            self._call("DeletePartition", {**table, "PartitionValues": partition["Values"]})
            self._call("CreatePartition", {**table, "PartitionInput": partition})
        for values in extra:
            self._call("DeletePartition", {**table, "PartitionValues": list(values)})
        return bool(missing or stale or extra)

    # small things

    def _stored(self, name: Name) -> Payload | None:
        try:
            found: Payload = self._call("GetTable", {"DatabaseName": name[0], "Name": name[1]})["Table"]
        except AwsError as error:
            if error.code == NOT_FOUND:
                return None
            raise
        return found

    def _known(self, name: Name) -> Table | None:
        """The journal's live state of a table."""
        known = self._journal.catalog.tables.get(name)
        return None if known is None or known.definition is None else known

    def _differs(self, name: Name, stored: Payload | None) -> bool:
        known = self._known(name)
        if known is None:
            tombstone = self._journal.catalog.tables.get(name)
            return tombstone is not None and stored is not None and stored["CreateTime"] <= tombstone.created
        return stored is None or _stamp(stored) != (known.created, known.revision)

    def _take_in(self, name: Name, stored: Payload) -> None:
        table: Payload = {"DatabaseName": name[0], "TableName": name[1]}
        partitions = self._call("GetPartitions", table)["Partitions"]
        record = table_record(name, _state(stored, int(stored["VersionId"])))
        self._journal.append({**record, "put": [definition_of(partition) for partition in partitions]})

    def _numbered(self, stored: Payload) -> Payload:
        known = self._known((stored["DatabaseName"], stored["Name"]))
        return stored if known is None else {**stored, "VersionId": str(known.version)}


def _state(stored: Payload, version: int) -> Table:
    created, revision = _stamp(stored)
    definition = definition_of(stored)
    return Table(definition=definition, version=version, created=created, revision=revision)


def _stamp(stored: Payload) -> tuple[float, int]:
    return float(stored["CreateTime"]), int(stored["VersionId"])
