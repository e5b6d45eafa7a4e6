"""The rights that a caller needs for a statement: in the catalog, on the objects behind it, on the result.

On AWS, Athena acts with the caller's own credentials
(https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.aws.athena.api import split_location
from local.aws.athena.glue_tables import Table, get_table, is_iceberg, is_view, location
from local.aws.protocol import AwsError, Caller, Services
from local.aws.settings import ACCOUNT, REGION

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
CATALOGS = frozenset({"awsdatacatalog", "iceberg"})  # in Trino "iceberg" holds the Iceberg tables of the first


class Denied(Exception):
    """The caller lacks a right; the message is the query's StateChangeReason."""


@dataclass
class AccessedTables:
    """What a statement reads and writes."""

    tables: dict[str, Table] = field(default_factory=dict)  # by "database.table"
    written: str = ""  # location of the table that it writes to


def glue_resources(database: str = "", table: str = "") -> list[str]:
    """ARNs on which the caller of a Glue action needs the right: the catalog, the database and the table."""
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

    def query(self, io_plan: str, kind: str, glue: GlueClient) -> AccessedTables:
        """The tables in Trino's IO plan of a statement; raises Denied unless the caller may read and write them."""
        plan = json.loads(io_plan)
        accessed = AccessedTables()
        for item in plan["inputTableColumnInfos"]:
            self._table(item["table"], glue, accessed, write="")
        if output := plan.get("outputTable"):
            self._table(output, glue, accessed, write=kind)
        return accessed

    def views(self, named: set[tuple[str, str]], accessed: AccessedTables, glue: GlueClient) -> None:
        """Raise Denied unless the caller may see the views among these names.

        Trino's plan does not list the views, only what they read.
        """
        for database, name in sorted(named):
            if f"{database}.{name}" in accessed.tables:
                continue
            try:
                table = get_table(glue, database, name)
            except glue.exceptions.EntityNotFoundException:
                continue  # a name that WITH defines
            if is_view(table):
                self.glue("GetTable", database, name)

    def _table(self, name: dict[str, Any], glue: GlueClient, accessed: AccessedTables, write: str) -> None:
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
        found = accessed.tables[f"{database}.{table}"] = get_table(glue, database, table)
        folder = location(found)
        if found.get("PartitionKeys"):
            self.glue("GetPartitions", database, table)
        if write:
            self.glue("UpdateTable" if is_iceberg(found) else "BatchCreatePartition", database, table)
            self.objects("PutObject", folder)
            accessed.written = folder
        elif folder:
            self.objects("GetObject", folder)
