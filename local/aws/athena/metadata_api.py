"""The actions on workgroups, which the emulator keeps, and on the data catalog, which is Glue's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from local.aws.athena.api import DATA_CATALOG, authorize, authorize_catalog, invalid, page, required
from local.aws.athena.executions import ENGINE_VERSION, Executions
from local.aws.athena.glue_tables import Table, get_table, with_columns
from local.aws.athena.rights import glue_resources
from local.aws.athena.store import Store
from local.aws.protocol import AwsError, Handler, Payload, Request, Services

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_glue.type_defs import DatabaseTypeDef

FORWARDED = ("CreateWorkGroup", "ListWorkGroups", "TagResource", "UntagResource", "ListTagsForResource")
_CATALOG = {"Name": DATA_CATALOG, "Type": "GLUE"}


class MetadataApi:
    """Handlers of the actions on workgroups, catalogs, databases and tables."""

    def __init__(self, services: Services, store: Store, executions: Executions) -> None:
        self._services, self._store, self._executions = services, store, executions
        self.actions: dict[str, Handler] = {
            **dict.fromkeys(FORWARDED, services.forward),
            "GetWorkGroup": self._get_workgroup,
            "UpdateWorkGroup": self._update_workgroup,
            "DeleteWorkGroup": self._delete_workgroup,
            "ListEngineVersions": self._list_engine_versions,
            "ListDataCatalogs": self._list_data_catalogs,
            "GetDataCatalog": self._get_data_catalog,
            "ListDatabases": self._list_databases,
            "GetDatabase": self._get_database,
            "ListTableMetadata": self._list_table_metadata,
            "GetTableMetadata": self._get_table_metadata,
        }

    # workgroups

    def _get_workgroup(self, request: Request) -> Payload:
        """GetWorkGroup, without the fields that only the emulator returns."""
        group = self._services.forward(request)["WorkGroup"]
        group.pop("WorkGroupConfiguration", None)
        configuration = group.get("Configuration") or {}
        group["Configuration"] = {name: value for name, value in configuration.items() if value is not None}
        return {"WorkGroup": group}

    def _update_workgroup(self, request: Request) -> Payload:
        """UpdateWorkGroup. The emulator does not know RemoveBytesScannedCutoffPerQuery; a null limit does the same."""
        updates = request.payload.get("ConfigurationUpdates") or {}
        if not updates.get("RemoveBytesScannedCutoffPerQuery"):
            return dict(self._services.forward(request))
        authorize(self._services, request, required(request.payload, "WorkGroup"))
        kept = {name: value for name, value in updates.items() if name != "RemoveBytesScannedCutoffPerQuery"}
        payload = {**request.payload, "ConfigurationUpdates": {**kept, "BytesScannedCutoffPerQuery": None}}
        return self._services.call_as_root("athena", "AmazonAthena.UpdateWorkGroup", payload)

    def _delete_workgroup(self, request: Request) -> Payload:
        """DeleteWorkGroup, with its queries when RecursiveDeleteOption is set."""
        name = required(request.payload, "WorkGroup")
        if not request.payload.get("RecursiveDeleteOption") and self._store.uses_workgroup(name):
            raise invalid(f"WorkGroup {name} is not empty")
        reply: Payload = self._services.forward(request)
        self._store.delete_workgroup(name)
        return reply

    def _list_engine_versions(self, request: Request) -> Payload:
        self._services.authorize(request.caller, "athena:ListEngineVersions", "*")
        automatic = {**ENGINE_VERSION, "SelectedEngineVersion": "AUTO"}
        return {"EngineVersions": [automatic, ENGINE_VERSION]}

    # catalogs

    def _list_data_catalogs(self, request: Request) -> Payload:
        self._services.authorize(request.caller, "athena:ListDataCatalogs", "*")
        return {"DataCatalogsSummary": [{"CatalogName": DATA_CATALOG, "Type": "GLUE"}]}

    def _get_data_catalog(self, request: Request) -> Payload:
        authorize_catalog(self._services, request, required(request.payload, "Name"))
        return {"DataCatalog": _CATALOG}

    def _glue(self, request: Request, action: str, database: str = "", table: str = "") -> GlueClient:
        """A client of Glue, if the caller may do this action in Athena and its counterpart in Glue."""
        authorize_catalog(self._services, request, required(request.payload, "CatalogName"))
        self._services.authorize(request.caller, f"glue:{action}", *glue_resources(database, table))
        return self._executions.clients.glue

    def _list_databases(self, request: Request) -> Payload:
        pages = self._glue(request, "GetDatabases").get_paginator("get_databases").paginate()
        found = [_database(item) for answer in pages for item in answer["DatabaseList"]]
        return page("DatabaseList", request.payload, lambda limit, skip: found[skip : skip + limit])

    def _get_database(self, request: Request) -> Payload:
        name = required(request.payload, "DatabaseName").lower()
        with _translated():
            found = self._glue(request, "GetDatabase", name).get_database(Name=name)["Database"]
        return {"Database": _database(found)}

    def _list_table_metadata(self, request: Request) -> Payload:
        database = required(request.payload, "DatabaseName").lower()
        expression = {"Expression": request.payload["Expression"]} if request.payload.get("Expression") else {}
        with _translated():
            paginator = self._glue(request, "GetTables", database, "*").get_paginator("get_tables")
            pages = paginator.paginate(DatabaseName=database, **expression)
            found = [self._described(dict(item)) for answer in pages for item in answer["TableList"]]
        return page("TableMetadataList", request.payload, lambda limit, skip: found[skip : skip + limit])

    def _get_table_metadata(self, request: Request) -> Payload:
        database = required(request.payload, "DatabaseName").lower()
        name = required(request.payload, "TableName").lower()
        with _translated():
            glue = self._glue(request, "GetTable", database, name)
            return {"TableMetadata": self._described(get_table(glue, database, name))}

    def _described(self, found: Table) -> Payload:
        return _table(with_columns(found, self._executions.clients.s3))


@contextmanager
def _translated() -> Iterator[None]:
    """Glue's errors as Athena reports them."""
    try:
        yield
    except ClientError as error:
        raise AwsError("MetadataException", error.response["Error"]["Message"]) from error


def _database(found: DatabaseTypeDef) -> Payload:
    return {
        "Name": found["Name"],
        "Description": found.get("Description", ""),
        "Parameters": found.get("Parameters", {}),
    }


def _table(found: Table) -> Payload:
    """A Glue table as Athena returns it: its storage descriptor is part of the parameters."""
    storage = found.get("StorageDescriptor") or {}
    serde = storage.get("SerdeInfo") or {}
    parameters = {
        **(found.get("Parameters") or {}),
        "inputformat": storage.get("InputFormat", ""),
        "location": storage.get("Location", ""),
        "outputformat": storage.get("OutputFormat", ""),
        "serde.serialization.lib": serde.get("SerializationLibrary", ""),
        **{f"serde.param.{name}": value for name, value in (serde.get("Parameters") or {}).items()},
    }
    return {
        "Name": found["Name"],
        "CreateTime": found.get("CreateTime"),
        "LastAccessTime": found.get("LastAccessTime") or found.get("CreateTime"),
        "TableType": found.get("TableType", ""),
        "Columns": [_column(column) for column in storage.get("Columns") or []],
        "PartitionKeys": [_column(column) for column in found.get("PartitionKeys") or []],
        "Parameters": parameters,
    }


def _column(found: dict[str, str]) -> Payload:
    """A column of Glue without its parameters (Iceberg's field ids), which Athena does not return."""
    return {name: found[name] for name in ("Name", "Type", "Comment") if found.get(name) is not None}
