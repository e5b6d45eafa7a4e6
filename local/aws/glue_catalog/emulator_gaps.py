"""What the emulator's replies and checks lack compared with AWS's: one function for each gap, called by ``api``.

Each has a test. Sources: a comparison of the emulator with the AWS Glue Web API Reference, and errors of Trino 406.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from local.aws.glue_catalog.expression import compile_expression, typed_value
from local.aws.protocol import AwsError, Payload

# Trino 406 reads projection.enabled=false, which awswrangler writes, as true.
IGNORE_PROJECTION = "trino.partition_projection.ignore"

# Fields of a storage descriptor that AWS always sends; Trino fails without Columns, SerdeInfo or NumberOfBuckets.
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
# On AWS, UpdateTable replaces the whole definition; the emulator keeps the old value of a field that is left out.
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


def lower_case_names(payload: Payload) -> Payload:
    """The payload with the names of databases and tables in lower case, as AWS stores them."""
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
    """A table as AWS sends it: without nulls, without an empty owner (which UpdateTable would refuse), with a complete
    storage descriptor, and with the parameter that Trino needs when partition projection is off.
    """
    complete = {name: value for name, value in table.items() if value is not None and (name, value) != ("Owner", "")}
    complete["StorageDescriptor"] = {**STORAGE_DEFAULTS, **complete.get("StorageDescriptor", {})}
    parameters = complete.get("Parameters", {})
    if str(parameters.get("projection.enabled", "")).lower() == "false":
        complete["Parameters"] = {**parameters, IGNORE_PROJECTION: "true"}
    return complete


def complete_partition(partition: Payload, with_columns: bool = True) -> Payload:
    """A partition as AWS sends it; without ``with_columns`` it has no columns (ExcludeColumnSchema)."""
    complete = {name: value for name, value in partition.items() if value is not None}
    complete["StorageDescriptor"] = {**STORAGE_DEFAULTS, **complete.get("StorageDescriptor", {})}
    if not with_columns:
        complete["StorageDescriptor"]["Columns"] = []
    return complete


def whole_table_input(given: Payload) -> Payload:
    """A table input that replaces the whole definition, without the parameter that only our replies add."""
    parameters = {name: value for name, value in given.get("Parameters", {}).items() if name != IGNORE_PROJECTION}
    return {**TABLE_DEFAULTS, **given, "Parameters": parameters}


def select_partitions(partitions: Sequence[Payload], keys: Sequence[Payload], request: Payload) -> list[Payload]:
    """The partitions that match ``Expression`` and ``Segment`` of GetPartitions (the emulator returns all)."""
    chosen = list(partitions)
    if request.get("Expression"):
        types = [(key["Name"], key.get("Type", "string")) for key in keys]
        condition = compile_expression(request["Expression"], types)

        def row(partition: Payload) -> dict[str, Any]:
            pairs = zip(types, partition["Values"], strict=True)
            return {name.lower(): typed_value(value, kind) for (name, kind), value in pairs}

        chosen = [partition for partition in chosen if condition(row(partition)) is True]
    if segment := request.get("Segment"):
        number, total = segment["SegmentNumber"], segment["TotalSegments"]
        chosen = [p for p in chosen if zlib.crc32("\0".join(p["Values"]).encode()) % total == number]
    return chosen


def check_partition_values(values: Sequence[str], keys: Sequence[Payload]) -> None:
    """Refuse a partition whose values do not fit the table's keys, as AWS does."""
    if len(values) != len(keys):
        wrong = "The number of partition keys do not match the number of partition values"
        raise AwsError("InvalidInputException", wrong)


def search_tables(tables: Sequence[Payload], request: Payload) -> list[Payload]:
    """The tables that SearchTables finds: by text in name, description or column names, and by filters."""
    text = request.get("SearchText", "").strip('"').lower()
    found = []
    for table in tables:
        columns = [column["Name"] for column in table["StorageDescriptor"]["Columns"]]
        if text and not any(text in word.lower() for word in (table["Name"], table.get("Description", ""), *columns)):
            continue
        fields = {**table.get("Parameters", {}), "DatabaseName": table["DatabaseName"], "Name": table["Name"]}
        if all(_passes_filter(fields.get(f["Key"], ""), f) for f in request.get("Filters", [])):
            found.append(table)
    return found


def _passes_filter(value: str, wanted: Payload) -> bool:
    comparator = wanted.get("Comparator", "EQUALS")
    if comparator != "EQUALS":
        raise AwsError("InvalidInputException", f"SearchTables compares by EQUALS in the local home, not {comparator}")
    return value.lower() == wanted["Value"].lower()
