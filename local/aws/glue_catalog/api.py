"""The actions of the Glue Data Catalog: calls go to the emulator, replies are completed, changes are journalled.

Refused: calls for old versions of tables. Actions that are not listed here (connections, statistics, functions,
triggers ...) go to the emulator unchanged, and what they store is not journalled.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from local.aws.glue_catalog.authorized_resources import authorized_resources
from local.aws.glue_catalog.emulator_gaps import (
    DATABASE_DEFAULTS,
    check_partition_values,
    complete_partition,
    complete_table,
    lower_case_names,
    search_tables,
    select_partitions,
    whole_table_input,
)
from local.aws.glue_catalog.journal import Journal, database_record, definition_of, table_record
from local.aws.glue_catalog.journaled_catalog import JournaledCatalog
from local.aws.glue_service import GlueService
from local.aws.protocol import AwsError, Handler, Payload, Request, Services

log = logging.getLogger("glue_catalog")

VERSION_ACTIONS = ("GetTableVersions", "GetTableVersion", "DeleteTableVersion", "BatchDeleteTableVersion")


class GlueCatalog(GlueService):
    """The actions of the service ``glue`` on databases, tables and partitions."""

    internal = ("replay",)

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._lock = threading.RLock()  # one change at a time, so that the journal has the order of the changes
        self._journal = Journal(services.settings.data / "glue")
        self._catalog = JournaledCatalog(self._call, self._journal, self._lock)
        reads: dict[str, Callable[[Payload], Payload]] = {
            "GetDatabase": self._get_database,
            "GetDatabases": self._get_databases,
            "GetTable": self._get_table,
            "GetTables": self._get_tables,
            "SearchTables": self._search_tables,
            "GetPartition": self._get_partition,
            "GetPartitions": self._get_partitions,
            "BatchGetPartition": self._batch_get_partition,
        }
        changes: dict[str, Callable[[Payload], Payload]] = {
            "CreateDatabase": self._create_database,
            "UpdateDatabase": self._update_database,
            "DeleteDatabase": self._delete_database,
            "CreateTable": self._create_table,
            "UpdateTable": self._update_table,
            "DeleteTable": self._delete_table,
            "BatchDeleteTable": self._batch_delete_table,
            "CreatePartition": self._create_partition,
            "UpdatePartition": self._update_partition,
            "DeletePartition": self._delete_partition,
            "BatchCreatePartition": self._batch_create_partition,
            "BatchUpdatePartition": self._batch_update_partition,
            "BatchDeletePartition": self._batch_delete_partition,
        }
        self.actions: dict[str, Handler] = {name: partial(self._answer, act) for name, act in reads.items()}
        self.actions |= {name: partial(self._answer, partial(self._locked, act)) for name, act in changes.items()}
        self.actions |= dict.fromkeys(VERSION_ACTIONS, self._no_versions)

    def start(self) -> None:
        """Restore what the emulator has lost."""
        log.info("replayed the catalog: %s", self.replay())

    def stop(self) -> None:
        """Close the journal."""
        with self._lock:
            self._journal.close()

    def replay(self) -> Payload:
        """Compare the emulator's catalog with the journal and restore what differs.

        Returns the names of what was restored, and of tables that were skipped because their database does not exist
        (the deployment creates the databases: replay again after it).
        """
        with self._lock:
            return self._catalog.replay()

    # handling a call

    def _answer(self, act: Callable[[Payload], Payload], request: Request) -> Payload:
        payload = lower_case_names(request.payload)
        self._authorize(request, *authorized_resources(request.action, payload))
        return act(payload)

    def _locked(self, change: Callable[[Payload], Payload], payload: Payload) -> Payload:
        with self._lock:
            return change(payload)

    def _no_versions(self, request: Request) -> Payload:
        raise AwsError(
            "UnknownOperationException",
            f"glue:{request.action}: the local home keeps no old versions of tables (as with SkipArchive on AWS)",
        )

    # databases

    def _get_database(self, payload: Payload) -> Payload:
        return {"Database": _without_nulls(self._catalog.database(payload["Name"]))}

    def _get_databases(self, payload: Payload) -> Payload:
        return {"DatabaseList": [_without_nulls(d) for d in self._call("GetDatabases", payload)["DatabaseList"]]}

    def _create_database(self, payload: Payload) -> Payload:
        self._call("CreateDatabase", payload)
        self._journal_database(payload["DatabaseInput"]["Name"])
        return {}

    def _update_database(self, payload: Payload) -> Payload:
        self._call("UpdateDatabase", {**payload, "DatabaseInput": DATABASE_DEFAULTS | payload["DatabaseInput"]})
        self._journal_database(payload["Name"])
        return {}

    def _delete_database(self, payload: Payload) -> Payload:
        created = self._catalog.database(payload["Name"])["CreateTime"]
        self._call("DeleteDatabase", payload)
        self._journal.append(database_record(payload["Name"], None, created))
        return {}

    def _journal_database(self, name: str) -> None:
        database = self._call("GetDatabase", {"Name": name})["Database"]
        self._journal.append(database_record(name, definition_of(database), database["CreateTime"]))

    # tables

    def _get_table(self, payload: Payload) -> Payload:
        return {"Table": complete_table(self._catalog.table(payload["DatabaseName"], payload["Name"]))}

    def _get_tables(self, payload: Payload) -> Payload:
        self._catalog.database(payload["DatabaseName"])  # for an absent database the emulator returns an empty list
        tables = self._catalog.tables(payload["DatabaseName"], payload.get("Expression", ""))
        return {"TableList": [complete_table(table) for table in tables]}

    def _search_tables(self, payload: Payload) -> Payload:
        names = [database["Name"] for database in self._call("GetDatabases", {})["DatabaseList"]]
        tables = [complete_table(table) for name in names for table in self._catalog.tables(name)]
        return {"TableList": search_tables(tables, payload)}

    def _create_table(self, payload: Payload) -> Payload:
        name = (payload["DatabaseName"], payload["TableInput"]["Name"])
        self._catalog.reconciled(name)
        self._call("CreateTable", {**payload, "TableInput": whole_table_input(payload["TableInput"])})
        before = self._journal.catalog.tables.get(name)
        self._catalog.journal_table(name, version=before.version + 1 if before else 1)
        return {}

    def _update_table(self, payload: Payload) -> Payload:
        name = (payload["DatabaseName"], payload["TableInput"]["Name"])
        known = self._catalog.table_to_change(name)
        expected = payload.get("VersionId")
        if expected is not None and str(expected) != str(known.version):
            raise AwsError(
                "ConcurrentModificationException",
                f"Update table failed due to concurrent modifications: {name[1]} is at version {known.version}, "
                f"not {expected}.",
            )
        changed = {field: value for field, value in payload.items() if field != "VersionId"}
        self._call("UpdateTable", {**changed, "TableInput": whole_table_input(payload["TableInput"])})
        self._catalog.journal_table(name, version=known.version + 1)
        return {}

    def _delete_table(self, payload: Payload) -> Payload:
        name = (payload["DatabaseName"], payload["Name"])
        known = self._catalog.table_to_change(name)
        self._call("DeleteTable", payload)
        self._journal.append(table_record(name, replace(known, definition=None)))
        return {}

    def _batch_delete_table(self, payload: Payload) -> Payload:
        return _each(
            payload["TablesToDelete"],
            lambda table: self._delete_table({"DatabaseName": payload["DatabaseName"], "Name": table}),
            lambda table: {"TableName": table},
        )

    # partitions

    def _get_partition(self, payload: Payload) -> Payload:
        self._catalog.table(payload["DatabaseName"], payload["TableName"])
        return {"Partition": complete_partition(self._call("GetPartition", payload)["Partition"])}

    def _get_partitions(self, payload: Payload) -> Payload:
        keys = self._catalog.table(payload["DatabaseName"], payload["TableName"]).get("PartitionKeys", [])
        chosen = select_partitions(self._call("GetPartitions", payload)["Partitions"], keys, payload)
        with_columns = not payload.get("ExcludeColumnSchema", False)
        return {"Partitions": [complete_partition(partition, with_columns) for partition in chosen]}

    def _batch_get_partition(self, payload: Payload) -> Payload:
        self._catalog.table(payload["DatabaseName"], payload["TableName"])
        reply = self._call("BatchGetPartition", payload)
        return {**reply, "Partitions": [complete_partition(partition) for partition in reply["Partitions"]]}

    def _create_partition(self, payload: Payload) -> Payload:
        name = (payload["DatabaseName"], payload["TableName"])
        values = payload["PartitionInput"]["Values"]
        check_partition_values(values, (self._catalog.table_to_change(name).definition or {}).get("PartitionKeys", []))
        self._call("CreatePartition", payload)
        self._catalog.journal_partitions(name, [values])
        return {}

    def _update_partition(self, payload: Payload) -> Payload:
        entry = {"PartitionValueList": payload["PartitionValueList"], "PartitionInput": payload["PartitionInput"]}
        errors = self._batch_update_partition({**_table_of(payload), "Entries": [entry]})["Errors"]
        for error in errors:
            raise AwsError(error["ErrorDetail"]["ErrorCode"], error["ErrorDetail"]["ErrorMessage"])
        return {}

    def _delete_partition(self, payload: Payload) -> Payload:
        name, values = (payload["DatabaseName"], payload["TableName"]), payload["PartitionValues"]
        self._catalog.table_to_change(name)
        self._call("GetPartition", payload)  # the emulator reports no error for an absent partition
        self._call("DeletePartition", payload)
        self._catalog.journal_partitions(name, [values])
        return {}

    def _batch_create_partition(self, payload: Payload) -> Payload:
        return _each(
            payload["PartitionInputList"],
            lambda given: self._create_partition({**_table_of(payload), "PartitionInput": given}),
            lambda given: {"PartitionValues": given["Values"]},
        )

    def _batch_update_partition(self, payload: Payload) -> Payload:
        name = (payload["DatabaseName"], payload["TableName"])
        self._catalog.table_to_change(name)
        reply = self._call("BatchUpdatePartition", payload)
        touched = [entry["PartitionValueList"] for entry in payload["Entries"]]
        touched += [entry["PartitionInput"]["Values"] for entry in payload["Entries"]]
        self._catalog.journal_partitions(name, touched)
        return {"Errors": reply["Errors"]}

    def _batch_delete_partition(self, payload: Payload) -> Payload:
        return _each(
            payload["PartitionsToDelete"],
            lambda given: self._delete_partition({**_table_of(payload), "PartitionValues": given["Values"]}),
            lambda given: {"PartitionValues": given["Values"]},
        )


def _each(items: list[Any], act: Callable[[Any], Payload], name: Callable[[Any], Payload]) -> Payload:
    """Apply ``act`` to each item and return the errors as the reply of a Batch action of Glue."""
    errors = []
    for item in items:
        try:
            act(item)
        except AwsError as error:
            if error.status >= 500:
                raise
            detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
            errors.append({**name(item), "ErrorDetail": detail})
    return {"Errors": errors}


def _table_of(payload: Payload) -> Payload:
    return {"DatabaseName": payload["DatabaseName"], "TableName": payload["TableName"]}


def _without_nulls(entity: Payload) -> Payload:
    return {name: value for name, value in entity.items() if value is not None}
