"""Hive's half of Athena: statements that the Glue catalog answers; for some of them Trino has to do the work."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partialmethod
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local.aws.athena import glue_tables, hive_ddl, show
from local.aws.athena.alter import AlterTable
from local.aws.athena.api import split_location
from local.aws.athena.glue_tables import Table
from local.aws.athena.rights import CallerRights
from local.aws.athena.show import TextResult
from local.aws.athena.statements import Statement, StatementFailed
from local.aws.athena.tokens import Cursor, literal, quote
from local.aws.athena.translate import optimize

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_glue.type_defs import DatabaseInputTypeDef
    from mypy_boto3_s3 import S3Client

VACUUM_AGE_SECONDS = 432_000  # Athena's default of vacuum_max_snapshot_age_seconds
_DDL_TASK = "FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask."


@dataclass(frozen=True)
class TrinoStatements:
    """What Trino has to run, in order; ``result`` makes the result from the rows of the last statement."""

    statements: tuple[str, ...]
    result: Callable[[list[list[Any]]], TextResult] = field(default=lambda rows: TextResult())  # noqa: ARG005


class Catalog:
    """Runs the statements of one caller, each in the method ``_<SubstatementType>``.

    The clients have the rights of the engine; ``rights`` checks those of the caller. Each method gets a cursor behind
    the keywords of its statement.
    """

    def __init__(self, glue: GlueClient, s3: S3Client, rights: CallerRights, database: str) -> None:
        self._glue, self._s3, self._rights, self._database = glue, s3, rights, database

    def run(self, statement: Statement) -> TextResult | TrinoStatements:
        """Run a statement, or say what Trino has to run. Raises StatementFailed, Denied or SqlError."""
        handler: Callable[[Cursor], TextResult | TrinoStatements] = getattr(self, f"_{statement.kind.lower()}")
        try:
            return handler(statement.cursor())
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            raise StatementFailed(f"{_DDL_TASK} {code}(message:{message})") from error

    def _table(self, database: str, name: str, action: str = "GetTable") -> Table:
        self._rights.glue(action, database, name)
        try:
            table = glue_tables.get_table(self._glue, database, name)
        except self._glue.exceptions.EntityNotFoundException as error:
            message = f"FAILED: SemanticException [Error 10001]: Table not found {database}.{name}"
            raise StatementFailed(message) from error
        return glue_tables.with_columns(table, self._s3)

    def _last_table(self, cursor: Cursor) -> tuple[str, str, Table]:
        """Database, name and definition of the table whose name ends the statement."""
        database, name = cursor.expect_table(self._database)
        cursor.expect_end()
        return database, name, self._table(database, name)

    # databases

    def _create_database(self, cursor: Cursor) -> TextResult:
        if_not_exists = cursor.accept("IF", "NOT", "EXISTS")
        name = cursor.expect_name()
        database: DatabaseInputTypeDef = {"Name": name}
        while cursor.token:
            if cursor.accept("COMMENT"):
                database["Description"] = cursor.expect_string()
            elif cursor.accept("LOCATION"):
                database["LocationUri"] = cursor.expect_string()
            else:
                cursor.expect("WITH", "DBPROPERTIES")
                database["Parameters"] = hive_ddl.parse_properties(cursor)
        self._rights.glue("CreateDatabase", name)
        try:
            self._glue.create_database(DatabaseInput=database)
        except self._glue.exceptions.AlreadyExistsException:
            if not if_not_exists:
                raise
        return TextResult()

    def _drop_database(self, cursor: Cursor) -> TextResult:
        if_exists = cursor.accept("IF", "EXISTS")
        name = cursor.expect_name()
        cascade = cursor.accept("CASCADE")
        if not cascade:
            cursor.accept("RESTRICT")
        cursor.expect_end()
        self._rights.glue("DeleteDatabase", name)
        try:
            tables = [table["Name"] for table in self._tables(name)]
            if tables and not cascade:
                message = f"Database {name} is not empty. One or more tables exist."
                raise StatementFailed(f"{_DDL_TASK} InvalidOperationException(message:{message})")
            for table in tables:
                self._rights.glue("DeleteTable", name, table)
                self._glue.delete_table(DatabaseName=name, Name=table)
            self._glue.delete_database(Name=name)
        except self._glue.exceptions.EntityNotFoundException as error:
            if not if_exists:
                raise StatementFailed(_no_database(name)) from error
        return TextResult()

    def _show_databases(self, cursor: Cursor) -> TextResult:
        cursor.accept("LIKE")
        pattern = show.pattern(cursor)
        self._rights.glue("GetDatabases")
        pages = self._glue.get_paginator("get_databases").paginate()
        names = (database["Name"] for page in pages for database in page["DatabaseList"])
        return TextResult.one_column("database_name", filter(pattern, sorted(names)))

    # tables

    def _tables(self, database: str) -> list[Table]:
        pages = self._glue.get_paginator("get_tables").paginate(DatabaseName=database)
        tables = (dict(table) for page in pages for table in page["TableList"])
        return sorted(tables, key=lambda table: str(table["Name"]))

    def _listed(self, cursor: Cursor, column: str, wanted: Callable[[Table], bool]) -> TextResult:
        database = cursor.expect_name() if cursor.accept("IN") or cursor.accept("FROM") else self._database
        cursor.accept("LIKE")
        pattern = show.pattern(cursor)
        self._rights.glue("GetTables", database, "*")
        try:
            names = [table["Name"] for table in self._tables(database) if wanted(table)]
        except self._glue.exceptions.EntityNotFoundException as error:
            raise StatementFailed(_no_database(database)) from error
        return TextResult.one_column(column, filter(pattern, names))

    _show_tables = partialmethod(_listed, column="tab_name", wanted=bool)
    _show_views = partialmethod(_listed, column="views", wanted=glue_tables.is_view)

    def _create_table(self, cursor: Cursor) -> TextResult | TrinoStatements:
        ddl = hive_ddl.parse_create_table(cursor, self._database)
        self._rights.glue("CreateTable", ddl.database, ddl.table)
        if ddl.is_iceberg:
            self._rights.objects("PutObject", ddl.location)
            return TrinoStatements((ddl.iceberg_sql(),))
        split_location(ddl.location)
        try:
            table_input = glue_tables.table_input(ddl.table_input())
            self._glue.create_table(DatabaseName=ddl.database, TableInput=table_input)
        except self._glue.exceptions.AlreadyExistsException:
            if not ddl.if_not_exists:
                raise
        return TextResult()

    def _drop(self, cursor: Cursor, view: bool) -> TextResult | TrinoStatements:
        if_exists = cursor.accept("IF", "EXISTS")
        database, name = cursor.expect_table(self._database)
        cursor.expect_end()
        try:
            table = self._table(database, name, "DeleteTable")
        except StatementFailed:
            if not if_exists:
                raise
            return TextResult()
        if glue_tables.is_view(table) != view:
            raise StatementFailed(f"FAILED: SemanticException {database}.{name} is {'not ' if view else ''}a view")
        if glue_tables.is_iceberg(table):  # Athena deletes the data of Iceberg tables only
            self._rights.objects("DeleteObject", table["StorageDescriptor"]["Location"])
            return TrinoStatements((f"DROP TABLE iceberg.{quote(database)}.{quote(name)}",))
        self._glue.delete_table(DatabaseName=database, Name=name)
        return TextResult()

    _drop_table = partialmethod(_drop, view=False)
    _drop_view = partialmethod(_drop, view=True)

    def _alter_table(self, cursor: Cursor) -> TextResult | TrinoStatements:
        database, name = cursor.expect_table(self._database)
        table = self._table(database, name, "UpdateTable")
        statements = AlterTable(self._glue, self._rights, database, table).run(cursor)
        return TrinoStatements(statements) if statements else TextResult()

    # partitions

    def _partitioned(self, cursor: Cursor) -> tuple[str, str, Table]:
        """Database, name and definition of the partitioned table that ends the statement."""
        database, name, table = self._last_table(cursor)
        if not table.get("PartitionKeys"):
            raise StatementFailed(f"FAILED: SemanticException table {name} is not partitioned")
        return database, name, table

    def _msck_repair_table(self, cursor: Cursor) -> TrinoStatements:
        database, name, table = self._partitioned(cursor)
        self._rights.glue("BatchCreatePartition", database, name)
        self._rights.objects("GetObject", table["StorageDescriptor"]["Location"])
        arguments = f"{literal(database)}, {literal(name)}, 'ADD'"
        return TrinoStatements((f"CALL awsdatacatalog.system.sync_partition_metadata({arguments})",))

    def _show_partitions(self, cursor: Cursor) -> TextResult:
        database, name, table = self._partitioned(cursor)
        self._rights.glue("GetPartitions", database, name)
        pages = self._glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name)
        keys = [key["Name"] for key in table["PartitionKeys"]]
        found = (partition["Values"] for page in pages for partition in page["Partitions"])
        lines = ("/".join(f"{key}={value}" for key, value in zip(keys, values, strict=True)) for values in found)
        return TextResult.one_column("partition", sorted(lines))

    # descriptions

    def _describe(self, cursor: Cursor) -> TextResult:
        full = cursor.accept("FORMATTED") or cursor.accept("EXTENDED")
        database, _, table = self._last_table(cursor)
        return show.describe(database, table, full)

    def _show_columns(self, cursor: Cursor) -> TextResult:
        if not cursor.accept("IN"):
            cursor.expect("FROM")
        database, name = cursor.expect_table(self._database)
        if cursor.accept("IN") or cursor.accept("FROM"):
            database = cursor.expect_name()
        cursor.expect_end()
        names = (f"{item['Name']:<20}" for item in show.columns(self._table(database, name)))
        return TextResult.one_column("field", names)

    def _show_tblproperties(self, cursor: Cursor) -> TextResult:
        table = self._table(*cursor.expect_table(self._database))
        properties = table.get("Parameters", {})
        if cursor.token:
            cursor.expect("(")
            wanted = cursor.expect_string()
            cursor.expect(")")
            missing = f"Table {table['Name']} does not have property: {wanted}"
            properties = {wanted: properties.get(wanted, missing)}
        cursor.expect_end()
        lines = (f"{name}\t{value}" for name, value in sorted(properties.items()))
        return TextResult(("prpt_name", "prpt_value"), tuple(lines))

    def _show_create_table(self, cursor: Cursor) -> TextResult:
        database, _, table = self._last_table(cursor)
        if glue_tables.is_view(table):
            raise StatementFailed(f"FAILED: SemanticException {table['Name']} is a view: use SHOW CREATE VIEW")
        return TextResult.one_column("createtab_stmt", show.show_create_table(database, table).split("\n"))

    def _show_create_view(self, cursor: Cursor) -> TrinoStatements:
        database, _, table = self._last_table(cursor)
        sql = f"SHOW CREATE VIEW awsdatacatalog.{quote(database)}.{quote(table['Name'])}"
        return TrinoStatements((sql,), lambda rows: TextResult.one_column("Create View", str(rows[0][0]).split("\n")))

    # maintenance of Iceberg tables

    def _iceberg_table(self, database: str, name: str, statement: str, *actions: str) -> Table:
        """An Iceberg table, on whose objects the caller may do these S3 actions."""
        table = self._table(database, name, "UpdateTable")
        if not glue_tables.is_iceberg(table):
            raise StatementFailed(f"NOT_SUPPORTED: {statement} needs an Iceberg table: {database}.{name}")
        for action in actions:
            self._rights.objects(action, table["StorageDescriptor"]["Location"])
        return table

    def _optimize(self, cursor: Cursor) -> TrinoStatements:
        statement, database, name = optimize(cursor, self._database)
        self._iceberg_table(database, name, "OPTIMIZE", "GetObject", "PutObject")
        return TrinoStatements((statement,))

    def _vacuum(self, cursor: Cursor) -> TrinoStatements:
        database, name = cursor.expect_table(self._database)
        cursor.expect_end()
        table = self._iceberg_table(database, name, "VACUUM", "GetObject", "DeleteObject")
        properties = glue_tables.iceberg_metadata(table, self._s3).get("properties", {})
        age = properties.get("vacuum_max_snapshot_age_seconds", str(VACUUM_AGE_SECONDS))
        if not re.fullmatch(r"\d+", age):
            raise StatementFailed(f"INVALID_TABLE_PROPERTY: vacuum_max_snapshot_age_seconds = {age}")
        alter = f"ALTER TABLE iceberg.{quote(database)}.{quote(name)} EXECUTE"
        steps = ("expire_snapshots", "remove_orphan_files")
        return TrinoStatements(tuple(f"{alter} {step}(retention_threshold => '{age}s')" for step in steps))


def _no_database(name: str) -> str:
    return f"FAILED: SemanticException [Error 10072]: Database does not exist: {name}"
