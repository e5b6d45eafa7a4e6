"""What a caller must be allowed before his statement runs: the catalog, the objects behind it, the results.

AWS: Athena acts with the caller's own credentials
(https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from local.aws.athena.api import split_location
from local.aws.athena.glue_tables import is_iceberg, location
from local.aws.protocol import AwsError, Caller, Services
from local.aws.settings import ACCOUNT, REGION

_GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
CATALOGS = frozenset({"awsdatacatalog", "iceberg"})  # the second is Trino's own name for Iceberg tables of the first


class Denied(Exception):
    """The caller lacks a right; the message is what the query's StateChangeReason says."""


@dataclass
class AccessedTables:
    """What a statement reads and writes: Glue tables by "database.table", the location of the table written to."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: str = ""


def glue_resources(database: str = "", table: str = "") -> list[str]:
    """ARNs that a Glue action touches: AWS asks for the right on the catalog, the database and the table."""
    arns = [f"{_GLUE}:catalog"]
    if database:
        arns.append(f"{_GLUE}:database/{database}")
    if table:
        arns.append(f"{_GLUE}:table/{database}/{table}")
    return arns


class CallerRights:
    """The rights of one caller."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self._services, self._caller = services, caller

    def glue(self, action: str, database: str = "", table: str = "") -> None:
        """Raise Denied unless the caller may do this Glue action."""
        try:
            self._services.authorize(self._caller, f"glue:{action}", *glue_resources(database, table))
        except AwsError as error:
            raise Denied(f"Insufficient permissions to execute the query. {error.message}") from error

    def objects(self, action: str, folder: str) -> None:
        """Raise Denied unless the caller may do this S3 action on every object under the S3 URL ``folder``."""
        bucket, prefix = split_location(folder)
        pattern = f"{prefix.rstrip('/')}/*" if prefix.strip("/") else "*"
        try:
            self._services.authorize(self._caller, f"s3:{action}", f"arn:aws:s3:::{bucket}/{pattern}")
        except AwsError as error:
            raise Denied(f"PERMISSION_DENIED: {error.message}") from error

    def result(self, url: str) -> None:
        """Raise Denied unless the caller may write this result object."""
        bucket, key = split_location(url)
        try:
            self._services.authorize(self._caller, "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
        except AwsError as error:
            raise Denied(
                f"Access denied when writing output to url: {url} . Please ensure you are allowed to access the "
                "S3 bucket. If you are encrypting query results with KMS key, please ensure you are allowed to access "
                "your KMS key"
            ) from error

    def query(self, io_plan: str, kind: str, glue: Any) -> AccessedTables:
        """Raise Denied unless the caller may read, and write, all that Trino's IO plan of a statement names.

        ``glue`` is a Glue client.
        """
        plan = json.loads(io_plan)
        touched = AccessedTables()
        for item in plan["inputTableColumnInfos"]:
            self._table(item["table"], glue, touched, write="")
        if output := plan.get("outputTable"):
            self._table(output, glue, touched, write=kind)
        return touched

    def views(self, named: set[tuple[str, str]], touched: AccessedTables, glue: Any) -> None:
        """Raise Denied unless the caller may see the views among these names; Trino's plan lists what they read."""
        for database, name in sorted(named):
            if f"{database}.{name}" in touched.tables:
                continue
            try:
                table = glue.get_table(DatabaseName=database, Name=name)["Table"]
            except glue.exceptions.EntityNotFoundException:
                continue  # a name of WITH
            if table.get("TableType") == "VIRTUAL_VIEW":
                self.glue("GetTable", database, name)

    def _table(self, name: dict[str, Any], glue: Any, touched: AccessedTables, write: str) -> None:
        catalog, database = name["catalog"], name["schemaTable"]["schema"]
        table = name["schemaTable"]["table"].partition("$")[0]
        if catalog not in CATALOGS:
            raise Denied(f"CATALOG_NOT_FOUND: Catalog '{catalog}' does not exist")
        if database == "information_schema":
            self.glue("GetDatabases", "*")
            self.glue("GetTables", "*", "*")
            return
        if write == "CREATE_TABLE_AS_SELECT":
            self.glue("CreateTable", database, table)
            return
        self.glue("GetTable", database, table)
        found = touched.tables[f"{database}.{table}"] = glue.get_table(DatabaseName=database, Name=table)["Table"]
        folder = location(found)
        if found.get("PartitionKeys"):
            self.glue("GetPartitions", database, table)
        if write:
            self.glue("UpdateTable" if is_iceberg(found) else "BatchCreatePartition", database, table)
            self.objects("PutObject", folder)
            touched.written = folder
        elif folder:
            self.objects("GetObject", folder)
