"""Workgroups, which the emulator keeps, and the data catalog, which is Glue's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from local.aws.athena.api import DATA_CATALOG, allow, allow_catalog, invalid, needed, page, paging
from local.aws.athena.executions import Executions
from local.aws.athena.glue_tables import completed
from local.aws.athena.query_api import ENGINE_VERSION
from local.aws.athena.rights import glue_resources
from local.aws.athena.store import Store
from local.aws.protocol import AwsError, Handler, Payload, Request, Services

LISTED = 50
FORWARDED = (
    "CreateWorkGroup", "ListWorkGroups", "TagResource", "UntagResource", "ListTagsForResource",
)  # fmt: skip
_CATALOG = {"Name": DATA_CATALOG, "Type": "GLUE"}


class MetadataApi:
    """Handlers of the actions on workgroups, catalogs, databases and tables."""

    def __init__(self, services: Services, store: Store, executions: Executions) -> None:
        self._services, self._store, self._executions = services, store, executions
        self.actions: dict[str, Handler] = {
            **dict.fromkeys(FORWARDED, services.forward),
            "GetWorkGroup": self.get_workgroup,
            "UpdateWorkGroup": self.update_workgroup,
            "DeleteWorkGroup": self.delete_workgroup,
            "ListEngineVersions": self.list_engine_versions,
            "ListDataCatalogs": self.list_data_catalogs,
            "GetDataCatalog": self.get_data_catalog,
            "ListDatabases": self.list_databases,
            "GetDatabase": self.get_database,
            "ListTableMetadata": self.list_table_metadata,
            "GetTableMetadata": self.get_table_metadata,
        }

    # workgroups

    def get_workgroup(self, request: Request) -> Payload:
        """GetWorkGroup, without what the emulator says and AWS does not."""
        group = self._services.forward(request)["WorkGroup"]
        group.pop("WorkGroupConfiguration", None)
        configuration = group.get("Configuration") or {}
        group["Configuration"] = {name: value for name, value in configuration.items() if value is not None}
        return {"WorkGroup": group}

    def update_workgroup(self, request: Request) -> Payload:
        """UpdateWorkGroup; the emulator does not know RemoveBytesScannedCutoffPerQuery, a null does the same."""
        updates = request.payload.get("ConfigurationUpdates") or {}
        if not updates.get("RemoveBytesScannedCutoffPerQuery"):
            return dict(self._services.forward(request))
        allow(self._services, request, needed(request.payload, "WorkGroup"))
        kept = {name: value for name, value in updates.items() if name != "RemoveBytesScannedCutoffPerQuery"}
        payload = {**request.payload, "ConfigurationUpdates": {**kept, "BytesScannedCutoffPerQuery": None}}
        return self._services.call_as_root("athena", "AmazonAthena.UpdateWorkGroup", payload)

    def delete_workgroup(self, request: Request) -> Payload:
        """DeleteWorkGroup, with its queries when RecursiveDeleteOption is set."""
        name = needed(request.payload, "WorkGroup")
        if not request.payload.get("RecursiveDeleteOption") and self._store.holds(name):
            raise invalid(f"WorkGroup {name} is not empty")
        reply: Payload = self._services.forward(request)
        self._store.forget(name)
        return reply

    def list_engine_versions(self, request: Request) -> Payload:
        """ListEngineVersions."""
        self._services.authorize(request.caller, "athena:ListEngineVersions", "*")
        automatic = {**ENGINE_VERSION, "SelectedEngineVersion": "AUTO"}
        return {"EngineVersions": [automatic, ENGINE_VERSION]}

    # catalogs

    def list_data_catalogs(self, request: Request) -> Payload:
        """ListDataCatalogs."""
        self._services.authorize(request.caller, "athena:ListDataCatalogs", "*")
        return {"DataCatalogsSummary": [{"CatalogName": DATA_CATALOG, "Type": "GLUE"}]}

    def get_data_catalog(self, request: Request) -> Payload:
        """GetDataCatalog."""
        allow_catalog(self._services, request, needed(request.payload, "Name"))
        return {"DataCatalog": _CATALOG}

    def _glue(self, request: Request, action: str, database: str = "", table: str = "") -> Any:
        """The catalog, if the caller may do this in Athena and in Glue."""
        allow_catalog(self._services, request, needed(request.payload, "CatalogName"))
        self._services.authorize(request.caller, f"glue:{action}", *glue_resources(database, table))
        return self._executions.client("glue")

    def list_databases(self, request: Request) -> Payload:
        """ListDatabases."""
        pages = self._glue(request, "GetDatabases").get_paginator("get_databases").paginate()
        found = [_database(item) for answer in pages for item in answer["DatabaseList"]]
        limit, skip = paging(request.payload, LISTED)
        return page("DatabaseList", found[skip : skip + limit + 1], limit, skip)

    def get_database(self, request: Request) -> Payload:
        """GetDatabase."""
        name = needed(request.payload, "DatabaseName").lower()
        with _translated():
            return {"Database": _database(self._glue(request, "GetDatabase", name).get_database(Name=name)["Database"])}

    def list_table_metadata(self, request: Request) -> Payload:
        """ListTableMetadata."""
        database = needed(request.payload, "DatabaseName").lower()
        wanted = {"DatabaseName": database}
        if request.payload.get("Expression"):
            wanted["Expression"] = request.payload["Expression"]
        with _translated():
            pages = self._glue(request, "GetTables", database, "*").get_paginator("get_tables").paginate(**wanted)
            found = [self._described(item) for answer in pages for item in answer["TableList"]]
        limit, skip = paging(request.payload, LISTED)
        return page("TableMetadataList", found[skip : skip + limit + 1], limit, skip)

    def get_table_metadata(self, request: Request) -> Payload:
        """GetTableMetadata."""
        database = needed(request.payload, "DatabaseName").lower()
        name = needed(request.payload, "TableName").lower()
        with _translated():
            glue = self._glue(request, "GetTable", database, name)
            return {"TableMetadata": self._described(glue.get_table(DatabaseName=database, Name=name)["Table"])}

    def _described(self, found: dict[str, Any]) -> Payload:
        return _table(completed(found, self._executions.client("s3")))


@contextmanager
def _translated() -> Iterator[None]:
    """Glue's errors as Athena reports them."""
    try:
        yield
    except ClientError as error:
        raise AwsError("MetadataException", error.response["Error"]["Message"]) from error


def _database(found: dict[str, Any]) -> Payload:
    return {
        "Name": found["Name"],
        "Description": found.get("Description", ""),
        "Parameters": found.get("Parameters", {}),
    }


def _table(found: dict[str, Any]) -> Payload:
    """A Glue table as Athena shows it, its storage among the parameters."""
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
    """A column of Glue without the parameters that Athena does not show (Iceberg's field ids)."""
    return {name: found[name] for name in ("Name", "Type", "Comment") if found.get(name) is not None}
