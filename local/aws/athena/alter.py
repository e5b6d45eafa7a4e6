"""ALTER TABLE: changes a Hive table in the Glue catalog; for columns of an Iceberg table, the statements for Trino."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.aws.athena import hive_ddl
from local.aws.athena.api import split_location
from local.aws.athena.glue_tables import Table, is_iceberg, table_input
from local.aws.athena.rights import CallerRights
from local.aws.athena.statements import StatementFailed
from local.aws.athena.tokens import Cursor, quote

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_glue.type_defs import PartitionInputTypeDef

_PARTITION_BATCH, _DELETE_BATCH = 100, 25  # Glue's limits for one call that creates or deletes partitions


class AlterTable:
    """One ALTER TABLE on a table as Glue returned it."""

    def __init__(self, glue: GlueClient, rights: CallerRights, database: str, table: Table) -> None:
        self._glue, self._rights, self._database, self._table = glue, rights, database, table
        self._name = str(table["Name"])
        self._iceberg = is_iceberg(table)

    def run(self, cursor: Cursor) -> tuple[str, ...]:
        """Read what follows the table's name and do it, or return the statements that Trino has to run."""
        if cursor.accept("ADD", "COLUMNS"):
            return self._add_columns(cursor)
        if cursor.accept("REPLACE", "COLUMNS"):
            self._hive_only("REPLACE COLUMNS")
            self._table["StorageDescriptor"]["Columns"] = hive_ddl.parse_columns(cursor)
        elif cursor.accept("CHANGE"):
            cursor.accept("COLUMN")
            return self._change_column(cursor)
        elif cursor.accept("DROP", "COLUMN"):
            if not self._iceberg:
                raise StatementFailed("NOT_SUPPORTED: DROP COLUMN needs an Iceberg table; use REPLACE COLUMNS")
            statement = f"{self._alter} DROP COLUMN {quote(cursor.expect_name())}"
            cursor.expect_end()
            return (statement,)
        elif cursor.accept("SET", "TBLPROPERTIES"):
            self._hive_only("SET TBLPROPERTIES")
            self._table["Parameters"] = {**self._table.get("Parameters", {}), **hive_ddl.parse_properties(cursor)}
        elif cursor.accept("SET", "LOCATION"):
            self._hive_only("SET LOCATION")
            self._table["StorageDescriptor"]["Location"] = self._location(cursor)
        else:
            self._hive_only("PARTITION clauses")
            self._partitions(cursor)
            return ()
        cursor.expect_end()
        self._save()
        return ()

    @property
    def _alter(self) -> str:
        return f"ALTER TABLE iceberg.{quote(self._database)}.{quote(self._name)}"

    def _hive_only(self, clause: str) -> None:
        if self._iceberg:
            raise StatementFailed(f"NOT_SUPPORTED: ALTER TABLE {clause} is not supported for Iceberg tables here")

    def _location(self, cursor: Cursor) -> str:
        location = cursor.expect_string()
        split_location(location)
        return location

    def _save(self) -> None:
        self._glue.update_table(DatabaseName=self._database, TableInput=table_input(self._table))

    def _add_columns(self, cursor: Cursor) -> tuple[str, ...]:
        added = hive_ddl.parse_columns(cursor)
        cursor.expect_end()
        if self._iceberg:
            typed = (f"{quote(item['Name'])} {hive_ddl.trino_type(item['Type'])}" for item in added)
            return tuple(f"{self._alter} ADD COLUMN {column}" for column in typed)
        columns = self._table["StorageDescriptor"]["Columns"]
        taken = {item["Name"] for item in [*columns, *self._table.get("PartitionKeys", [])]}
        if double := taken.intersection(item["Name"] for item in added):
            raise StatementFailed(f"FAILED: SemanticException Duplicate column name: {', '.join(sorted(double))}")
        columns += added
        self._save()
        return ()

    def _change_column(self, cursor: Cursor) -> tuple[str, ...]:
        old, new = cursor.expect_name(), cursor.expect_name()
        kind = cursor.until("COMMENT").rest.lower()
        comment = {"Comment": cursor.expect_string()} if cursor.accept("COMMENT") else {}
        cursor.expect_end()
        found = [item for item in self._table["StorageDescriptor"]["Columns"] if item["Name"] == old]
        if not found:
            raise StatementFailed(f"FAILED: SemanticException [Error 10002]: Invalid column reference {old}")
        if self._iceberg:
            statements = []
            if kind != found[0]["Type"]:
                statements.append(f"{self._alter} ALTER COLUMN {quote(old)} SET DATA TYPE {hive_ddl.trino_type(kind)}")
            if new != old:
                statements.append(f"{self._alter} RENAME COLUMN {quote(old)} TO {quote(new)}")
            return tuple(statements)
        found[0].update({"Name": new, "Type": kind, **comment})
        self._save()
        return ()

    # partitions

    def _partitions(self, cursor: Cursor) -> None:
        if cursor.accept("ADD"):
            self._add_partitions(cursor, cursor.accept("IF", "NOT", "EXISTS"))
        elif cursor.accept("DROP"):
            self._drop_partitions(cursor, cursor.accept("IF", "EXISTS"))
        else:
            self._change_partition(cursor)

    def _change_partition(self, cursor: Cursor) -> None:
        """``PARTITION (...) SET LOCATION '...'`` or ``PARTITION (...) RENAME TO PARTITION (...)``."""
        values = self._values(cursor)
        partition = self._glue.get_partition(DatabaseName=self._database, TableName=self._name, PartitionValues=values)[
            "Partition"
        ]
        storage, parameters = partition["StorageDescriptor"], partition.get("Parameters", {})
        changed: PartitionInputTypeDef = {"Values": values, "StorageDescriptor": storage, "Parameters": parameters}
        if cursor.accept("SET", "LOCATION"):
            changed["StorageDescriptor"] = {**storage, "Location": self._location(cursor)}
        else:
            cursor.expect("RENAME", "TO")
            changed["Values"] = self._values(cursor)
        cursor.expect_end()
        self._rights.glue("UpdatePartition", self._database, self._name)
        self._glue.update_partition(
            DatabaseName=self._database, TableName=self._name, PartitionValueList=values, PartitionInput=changed
        )

    def _values(self, cursor: Cursor) -> list[str]:
        """``PARTITION (key = 'value', ...)`` in the order of the table's keys."""
        cursor.expect("PARTITION")
        given = dict(cursor.expect_list(_partition_value))
        keys = [key["Name"] for key in self._table.get("PartitionKeys", [])]
        if sorted(given) != sorted(keys):
            raise StatementFailed(
                f"FAILED: SemanticException partition spec {given} doesn't contain all (or only) the keys {keys}"
            )
        return [given[key] for key in keys]

    def _add_partitions(self, cursor: Cursor, if_not_exists: bool) -> None:
        self._rights.glue("BatchCreatePartition", self._database, self._name)
        storage = self._table["StorageDescriptor"]
        inputs: list[PartitionInputTypeDef] = []
        keys = [key["Name"] for key in self._table.get("PartitionKeys", [])]
        while cursor.token:
            values = self._values(cursor)
            folder = "/".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
            location = f"{storage['Location'].rstrip('/')}/{folder}/"
            if cursor.accept("LOCATION"):
                location = self._location(cursor)
            inputs.append({"Values": values, "StorageDescriptor": {**storage, "Location": location}})
        for start in range(0, len(inputs), _PARTITION_BATCH):
            reply = self._glue.batch_create_partition(
                DatabaseName=self._database,
                TableName=self._name,
                PartitionInputList=inputs[start : start + _PARTITION_BATCH],
            )
            for error in reply.get("Errors", []):
                detail = error["ErrorDetail"]
                if not (if_not_exists and detail["ErrorCode"] == "AlreadyExistsException"):
                    raise StatementFailed(f"FAILED: {detail['ErrorCode']}: partition {error['PartitionValues']}")

    def _drop_partitions(self, cursor: Cursor, if_exists: bool) -> None:
        self._rights.glue("BatchDeletePartition", self._database, self._name)
        wanted = cursor.expect_items(self._values)
        cursor.expect_end()
        for start in range(0, len(wanted), _DELETE_BATCH):
            reply = self._glue.batch_delete_partition(
                DatabaseName=self._database,
                TableName=self._name,
                PartitionsToDelete=[{"Values": values} for values in wanted[start : start + _DELETE_BATCH]],
            )
            for error in reply.get("Errors", []):
                if not (if_exists and error["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"):
                    raise StatementFailed(f"FAILED: {error['ErrorDetail']['ErrorCode']}: {error['PartitionValues']}")


def _partition_value(cursor: Cursor) -> tuple[str, str]:
    """``key = 'value'``; a number needs no quotes."""
    name = cursor.expect_name()
    cursor.expect("=")
    number = cursor.token and cursor.token.kind == "number"
    return name, cursor.until(",", ")").rest if number else cursor.expect_string()
