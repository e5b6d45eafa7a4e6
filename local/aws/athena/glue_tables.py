"""Tables of the Glue catalog, and the columns of Iceberg tables and views, which Trino 406 does not write there."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, cast

from local.aws.athena.api import split_location

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_glue.type_defs import TableInputTypeDef
    from mypy_boto3_s3 import S3Client

Table = dict[str, Any]  # as Glue returns it
Column = dict[str, str]  # Glue's Name, Type, Comment

# What a table as Glue returns it may hold of a TableInput.
_TABLE_INPUT = (
    "Name", "Description", "Owner", "LastAccessTime", "LastAnalyzedTime", "Retention", "StorageDescriptor",
    "PartitionKeys", "ViewOriginalText", "ViewExpandedText", "TableType", "Parameters",
)  # fmt: skip
_ICEBERG = {"long": "bigint", "timestamptz": "timestamp", "uuid": "string", "time": "string"}
_TRINO = {"varchar": "string", "integer": "int", "real": "float", "varbinary": "binary"}
_VIEW = re.compile(r"/\* Presto View: (\S+) \*/")


def get_table(glue: GlueClient, database: str, name: str) -> Table:
    """A table of the catalog; raises botocore's ClientError, EntityNotFoundException among others."""
    return dict(glue.get_table(DatabaseName=database, Name=name)["Table"])


def table_input(table: Table) -> TableInputTypeDef:
    """The TableInput that leaves a table as it is."""
    return cast("TableInputTypeDef", {name: table[name] for name in _TABLE_INPUT if name in table})


def is_iceberg(table: Table) -> bool:
    """Whether Glue marks it as an Iceberg table."""
    return str(table.get("Parameters", {}).get("table_type", "")).upper() == "ICEBERG"


def is_view(table: Table) -> bool:
    """Whether it is a view."""
    return table.get("TableType") == "VIRTUAL_VIEW"


def is_parquet(table: Table) -> bool:
    """Whether its data files are Parquet; those of an Iceberg table are taken to be."""
    return is_iceberg(table) or "parquet" in str(table["StorageDescriptor"].get("InputFormat", "")).lower()


def location(table: Table) -> str:
    """The table's folder; of an Iceberg table Trino writes only the location of its metadata to the catalog."""
    stored = (table.get("StorageDescriptor") or {}).get("Location")
    return str(stored or table.get("Parameters", {}).get("metadata_location", "").rpartition("/metadata/")[0])


def iceberg_metadata(table: Table, s3: S3Client) -> dict[str, Any]:
    """The current metadata of an Iceberg table."""
    bucket, key = split_location(table["Parameters"]["metadata_location"])
    return dict(json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]))


def with_columns(table: Table, s3: S3Client) -> Table:
    """The table with location and columns, which are read from an Iceberg table's metadata when Glue lacks them."""
    storage = table.get("StorageDescriptor") or {}
    if not is_iceberg(table) or (storage.get("Columns") and storage.get("Location")):
        return table
    content = iceberg_metadata(table, s3)
    schema = next(item for item in content["schemas"] if item["schema-id"] == content["current-schema-id"])
    columns = [_iceberg_column(field) for field in schema["fields"]]
    return {**table, "StorageDescriptor": {**storage, "Columns": columns, "Location": content["location"]}}


def _iceberg_column(field: dict[str, Any]) -> Column:
    comment = {"Comment": field["doc"]} if field.get("doc") else {}
    return {"Name": field["name"], "Type": from_iceberg(field["type"]), **comment}


def from_iceberg(kind: str | dict[str, Any]) -> str:
    """Hive's spelling of an Iceberg type."""
    if isinstance(kind, str):
        kind = "binary" if kind.startswith("fixed") else kind
        return _ICEBERG.get(kind, kind.replace(" ", ""))
    if kind["type"] == "struct":
        fields = [f"{item['name']}:{from_iceberg(item['type'])}" for item in kind["fields"]]
        return f"struct<{','.join(fields)}>"
    if kind["type"] == "list":
        return f"array<{from_iceberg(kind['element'])}>"
    return f"map<{from_iceberg(kind['key'])},{from_iceberg(kind['value'])}>"


def view_columns(table: Table) -> list[Column]:
    """The columns of a view that Trino stored."""
    match = _VIEW.fullmatch(table.get("ViewOriginalText", ""))
    if not match:
        return []
    view = json.loads(base64.b64decode(match[1]))
    return [{"Name": column["name"], "Type": from_trino(column["type"])} for column in view["columns"]]


def from_trino(kind: str) -> str:
    """Hive's spelling of a Trino type: ``row(a bigint)`` becomes ``struct<a:bigint>``."""
    outer, _, rest = kind.partition("(")
    outer = outer.strip()
    if not rest:
        return _TRINO.get(outer, outer)
    inner = split_types(rest[: rest.rindex(")")])
    if outer in ("array", "map"):
        return f"{outer}<{','.join(from_trino(item) for item in inner)}>"
    if outer == "row":
        fields = [(name.strip('"'), from_trino(of.strip())) for name, _, of in (item.partition(" ") for item in inner)]
        return f"struct<{','.join(f'{name}:{of}' for name, of in fields)}>"
    return f"decimal({','.join(inner)})" if outer == "decimal" else _TRINO.get(outer, outer)


def split_types(text: str) -> list[str]:
    """Split at the commas outside all brackets; blanks around the parts are removed."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]
