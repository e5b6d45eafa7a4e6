"""What AWS's replies and rules have and the emulator's lack: one function a deviation, applied by ``api``.

Each has a test. Sources: the emulator compared with the AWS Glue Web API Reference, and what Trino 406 stumbled over.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from local.aws.glue_catalog.expression import compiled, typed
from local.aws.protocol import AwsError, Payload

# Trino 406 takes projection.enabled=false for true; awswrangler writes it.
IGNORE_PROJECTION = "trino.partition_projection.ignore"

# Fields of a storage descriptor that AWS always sends; Trino reads Columns, SerdeInfo and NumberOfBuckets unchecked.
STORAGE_DEFAULTS: Payload = {
    "Columns": [],
    "Compressed": False,
    "NumberOfBuckets": 0,
    "SerdeInfo": {},
    "BucketColumns": [],
    "SortColumns": [],
    "Parameters": {},
    "StoredAsSubDirectories": False,
}
# UpdateTable replaces the whole definition on AWS; the emulator keeps what a call leaves out.
TABLE_DEFAULTS: Payload = {
    "Description": "",
    "Owner": "",
    "StorageDescriptor": {},
    "PartitionKeys": [],
    "TableType": "EXTERNAL_TABLE",
    "Parameters": {},
    "ViewOriginalText": None,
    "ViewExpandedText": None,
    "ViewDefinition": None,
    "IsMultiDialectView": None,
}
DATABASE_DEFAULTS: Payload = {"Description": "", "LocationUri": None, "Parameters": {}}


def fold_names(payload: Payload) -> Payload:
    """Lower-case the names of databases and tables, as AWS stores them."""
    folded = dict(payload)
    for field in ("DatabaseName", "TableName", "Name"):
        if isinstance(folded.get(field), str):
            folded[field] = folded[field].lower()
    for field in ("DatabaseInput", "TableInput"):
        if isinstance(folded.get(field, {}).get("Name"), str):
            folded[field] = {**folded[field], "Name": folded[field]["Name"].lower()}
    if "TablesToDelete" in folded:
        folded["TablesToDelete"] = [name.lower() for name in folded["TablesToDelete"]]
    return folded


def complete_table(table: Payload) -> Payload:
    """A table as AWS sends it: no nulls, no empty owner (which no client could send back), a whole storage descriptor,
    projection switched off told to Trino.
    """
    complete = {name: value for name, value in table.items() if value is not None and (name, value) != ("Owner", "")}
    complete["StorageDescriptor"] = {**STORAGE_DEFAULTS, **complete.get("StorageDescriptor", {})}
    parameters = complete.get("Parameters", {})
    if str(parameters.get("projection.enabled", "")).lower() == "false":
        complete["Parameters"] = {**parameters, IGNORE_PROJECTION: "true"}
    return complete


def complete_partition(partition: Payload, with_columns: bool = True) -> Payload:
    """A partition as AWS sends it; ``with_columns`` false leaves its columns out (ExcludeColumnSchema)."""
    complete = {name: value for name, value in partition.items() if value is not None}
    complete["StorageDescriptor"] = {**STORAGE_DEFAULTS, **complete.get("StorageDescriptor", {})}
    if not with_columns:
        complete["StorageDescriptor"]["Columns"] = []
    return complete


def table_input(given: Payload) -> Payload:
    """A table input without what only our replies add, in a form that replaces the whole definition."""
    parameters = {name: value for name, value in given.get("Parameters", {}).items() if name != IGNORE_PROJECTION}
    return {**TABLE_DEFAULTS, **given, "Parameters": parameters}


def select_partitions(partitions: Sequence[Payload], keys: Sequence[Payload], request: Payload) -> list[Payload]:
    """The partitions that ``Expression`` and ``Segment`` of a GetPartitions ask for (the emulator returns all)."""
    chosen = list(partitions)
    if request.get("Expression"):
        types = [(key["Name"], key.get("Type", "string")) for key in keys]
        condition = compiled(request["Expression"], types)

        def row(partition: Payload) -> dict[str, Any]:
            pairs = zip(types, partition["Values"], strict=True)
            return {name.lower(): typed(value, kind) for (name, kind), value in pairs}

        chosen = [partition for partition in chosen if condition(row(partition)) is True]
    if segment := request.get("Segment"):
        number, total = segment["SegmentNumber"], segment["TotalSegments"]
        chosen = [p for p in chosen if zlib.crc32("\0".join(p["Values"]).encode()) % total == number]
    return chosen


def check_values(values: Sequence[str], keys: Sequence[Payload]) -> None:
    """Refuse a partition whose values do not fit the table's keys, as AWS does."""
    if len(values) != len(keys):
        raise AwsError(
            "InvalidInputException", "The number of partition keys do not match the number of partition values"
        )


def search(tables: Sequence[Payload], request: Payload) -> list[Payload]:
    """SearchTables: text in name, description or column names; filters on DatabaseName, Name and parameters."""
    text = request.get("SearchText", "").strip('"').lower()
    found = []
    for table in tables:
        columns = [column["Name"] for column in table["StorageDescriptor"]["Columns"]]
        if text and not any(text in word.lower() for word in (table["Name"], table.get("Description", ""), *columns)):
            continue
        fields = {**table.get("Parameters", {}), "DatabaseName": table["DatabaseName"], "Name": table["Name"]}
        if all(_fits(fields.get(f["Key"], ""), f) for f in request.get("Filters", [])):
            found.append(table)
    return found


def _fits(value: str, wanted: Payload) -> bool:
    comparator = wanted.get("Comparator", "EQUALS")
    if comparator != "EQUALS":
        raise AwsError("InvalidInputException", f"SearchTables compares by EQUALS in the local home, not {comparator}")
    return value.lower() == wanted["Value"].lower()
