"""The emulator's catalog kept equal to the journal: detects and restores losses, and numbers the versions of tables."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from local.aws.glue_catalog.emulator_gaps import whole_table_input
from local.aws.glue_catalog.journal import (
    DatabaseState,
    Journal,
    TableName,
    TableState,
    canonical_json,
    database_record,
    definition_of,
    table_record,
)
from local.aws.protocol import AwsError, Payload

log = logging.getLogger("glue_catalog")

NOT_FOUND = "EntityNotFoundException"


class JournaledCatalog:
    """Reads the catalog and restores it. ``call`` calls the emulator as root; ``lock`` is held around every change."""

    def __init__(self, call: Callable[[str, Payload], Payload], journal: Journal, lock: threading.RLock) -> None:
        self._call, self._journal, self._lock = call, journal, lock

    def table(self, database: str, table: str) -> Payload:
        """A table with the VersionId that clients see; restores the catalog first if the emulator has lost it.

        Raises EntityNotFoundException.
        """
        name = (database, table)
        stored = self._stored(name)
        if self._differs(name, stored):
            with self._lock:  # another thread may be changing the table: compare again after it
                stored = self.reconciled(name)
        if stored is None:
            raise AwsError(NOT_FOUND, f"Table {table} not found in {database}")
        return self._with_version(stored)

    def tables(self, database: str, expression: str = "") -> list[Payload]:
        """All tables of a database, as ``table`` returns them."""
        wanted: Payload = {"DatabaseName": database} | ({"Expression": expression} if expression else {})
        stored = self._call("GetTables", wanted)["TableList"]
        if any(self._differs((database, table["Name"]), table) for table in stored):
            with self._lock:
                for table in self._call("GetTables", wanted)["TableList"]:
                    if self._differs((database, table["Name"]), table):
                        self._reconcile((database, table["Name"]), table)
                stored = self._call("GetTables", wanted)["TableList"]
        return [self._with_version(table) for table in stored]

    def table_to_change(self, name: TableName) -> TableState:
        """The journal's state of a table that is about to change; a table that is not in the journal is added first.

        Raises EntityNotFoundException. The caller holds the lock.
        """
        stored = self.reconciled(name)
        if stored is None:
            raise AwsError(NOT_FOUND, f"Table {name[1]} not found in {name[0]}")
        if self._live(name) is None:
            self._add_to_journal(name, stored)
        return self._journal.catalog.tables[name]

    def reconciled(self, name: TableName) -> Payload | None:
        """The emulator's table (None: absent) after a loss was restored; the caller holds the lock."""
        stored = self._stored(name)
        if self._differs(name, stored):
            self._reconcile(name, stored)
            stored = self._stored(name)
        return stored

    def journal_table(self, name: TableName, version: int) -> None:
        """Write a table to the journal as it is now in the emulator."""
        stored = self._stored(name)
        if stored is None:
            raise AwsError("InternalFailure", f"{name} vanished while it was changed", 500)
        self._journal.append(table_record(name, _table_state(stored, version)))

    def journal_partitions(self, name: TableName, values: Sequence[Sequence[str]]) -> None:
        """Write these partitions of a table to the journal as they are now in the emulator; absent ones as dropped."""
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
        """Restore everything that the emulator has lost; the caller holds the lock."""
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

    def _restore_database(self, name: str, wanted: DatabaseState, actual: Payload | None) -> bool:
        if wanted.definition is None:
            if actual is None or actual["CreateTime"] > wanted.created:
                return False
            self._call("DeleteDatabase", {"Name": name})
            return True
        if actual is not None and actual["CreateTime"] < wanted.created:  # an older one, which was dropped since
            self._call("DeleteDatabase", {"Name": name})
            actual = None
        if actual is None:
            self._call("CreateDatabase", {"DatabaseInput": wanted.definition})
            stored = self._call("GetDatabase", {"Name": name})["Database"]
            self._journal.append(database_record(name, wanted.definition, stored["CreateTime"]))
            return True
        same = canonical_json(definition_of(actual)) == canonical_json(wanted.definition)
        if same or actual["CreateTime"] > wanted.created:
            return False
        self._call("UpdateDatabase", {"Name": name, "DatabaseInput": wanted.definition})
        return True

    def _reconcile(self, name: TableName, stored: Payload | None) -> None:
        """Bring the emulator and the journal, which differ on a table, to the newer of the two states."""
        known = self._journal.catalog.tables[name]
        if stored is not None and _emulator_version(stored) > (known.created, known.revision):
            log.warning("%s was changed directly in the emulator; added to the journal", ".".join(name))
            self._journal.append(table_record(name, _table_state(stored, known.version + 1)))
            return
        log.warning("the emulator has lost %s; restored: %s", ".".join(name), self.replay())

    def _restore(self, name: TableName, stored: Payload | None) -> bool:
        """Bring one table and its partitions to the journal's state; returns whether anything was restored."""
        known = self._journal.catalog.tables[name]
        whose: Payload = {"DatabaseName": name[0]}
        if known.definition is None:
            if stored is None or stored["CreateTime"] > known.created:
                return False
            self._call("DeleteTable", {**whose, "Name": name[1]})
            return True
        changed = False
        if stored is None:
            self._call("CreateTable", {**whose, "TableInput": whole_table_input(known.definition)})
            changed = True
        elif _emulator_version(stored) > (known.created, known.revision):
            self._journal.append(table_record(name, _table_state(stored, known.version + 1)))
        elif _emulator_version(stored) < (known.created, known.revision):
            self._call("UpdateTable", {**whose, "TableInput": whole_table_input(known.definition)})
            changed = True
        if changed:
            self.journal_table(name, known.version)
        return self._restore_partitions(name) or changed

    def _restore_partitions(self, name: TableName) -> bool:
        wanted = self._journal.catalog.partitions.get(name, {})
        table: Payload = {"DatabaseName": name[0], "TableName": name[1]}
        stored = self._call("GetPartitions", table)["Partitions"]
        actual = {tuple(partition["Values"]): canonical_json(definition_of(partition)) for partition in stored}
        missing = [partition for values, partition in wanted.items() if values not in actual]
        stale = [p for values, p in wanted.items() if values in actual and canonical_json(p) != actual[values]]
        extra = [values for values in actual if values not in wanted]
        if missing:
            self._call("BatchCreatePartition", {**table, "PartitionInputList": missing})
        for partition in stale:
            self._call("DeletePartition", {**table, "PartitionValues": partition["Values"]})
            self._call("CreatePartition", {**table, "PartitionInput": partition})
        for values in extra:
            self._call("DeletePartition", {**table, "PartitionValues": list(values)})
        return bool(missing or stale or extra)

    # comparing the emulator with the journal

    def _stored(self, name: TableName) -> Payload | None:
        try:
            found: Payload = self._call("GetTable", {"DatabaseName": name[0], "Name": name[1]})["Table"]
        except AwsError as error:
            if error.code == NOT_FOUND:
                return None
            raise
        return found

    def _live(self, name: TableName) -> TableState | None:
        """The journal's state of a table; None if it was dropped or is not in the journal."""
        known = self._journal.catalog.tables.get(name)
        return None if known is None or known.definition is None else known

    def _differs(self, name: TableName, stored: Payload | None) -> bool:
        known = self._live(name)
        if known is None:
            tombstone = self._journal.catalog.tables.get(name)
            return tombstone is not None and stored is not None and stored["CreateTime"] <= tombstone.created
        return stored is None or _emulator_version(stored) != (known.created, known.revision)

    def _add_to_journal(self, name: TableName, stored: Payload) -> None:
        table: Payload = {"DatabaseName": name[0], "TableName": name[1]}
        partitions = self._call("GetPartitions", table)["Partitions"]
        record = table_record(name, _table_state(stored, int(stored["VersionId"])))
        self._journal.append({**record, "put": [definition_of(partition) for partition in partitions]})

    def _with_version(self, stored: Payload) -> Payload:
        known = self._live((stored["DatabaseName"], stored["Name"]))
        return stored if known is None else {**stored, "VersionId": str(known.version)}


def _table_state(stored: Payload, version: int) -> TableState:
    created, revision = _emulator_version(stored)
    definition = definition_of(stored)
    return TableState(definition=definition, version=version, created=created, revision=revision)


def _emulator_version(stored: Payload) -> tuple[float, int]:
    return float(stored["CreateTime"]), int(stored["VersionId"])
