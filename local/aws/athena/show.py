"""The results of SHOW and DESCRIBE as Athena prints them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from local.aws.athena import hive_ddl
from local.aws.athena.glue_tables import Column, Table
from local.aws.athena.tokens import Cursor


@dataclass(frozen=True)
class TextResult:
    """The result of DDL, SHOW and DESCRIBE: names of its string columns, and lines of fields separated by tabs."""

    columns: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    @classmethod
    def one_column(cls, name: str, rows: Iterable[str]) -> TextResult:
        """A result of one column."""
        return cls((name,), tuple(rows))


def columns(table: Table) -> list[Column]:
    """The columns of a table, its partition keys included."""
    return [*table.get("StorageDescriptor", {}).get("Columns", []), *table.get("PartitionKeys", [])]


def pattern(cursor: Cursor) -> Callable[[str], bool]:
    """Read the pattern that ends a SHOW statement and return its test of a name; without a pattern all names match.

    In Hive's patterns ``*`` stands for any characters, and ``|`` separates alternatives.
    """
    if not cursor.token:
        return lambda name: True  # noqa: ARG005
    choices = cursor.expect_string().lower().split("|")
    cursor.expect_end()
    expression = re.compile("|".join(".*".join(map(re.escape, choice.split("*"))) for choice in choices))
    return lambda name: bool(expression.fullmatch(name))


def describe(database: str, table: Table, full: bool) -> TextResult:
    """DESCRIBE [FORMATTED]: three padded fields a line; the partition keys are listed twice, as Athena does."""
    header = ("col_name", "data_type", "comment")
    keys = table.get("PartitionKeys", [])
    rows = [_line("# " + header[0], *header[1:]), "\t \t "] if full else []
    rows += [_column(item) for item in (table["StorageDescriptor"].get("Columns", []) if full else columns(table))]
    if keys:
        rows += ["\t \t ", _line("# Partition Information", " ", " "), _line("# " + header[0], *header[1:]), "\t \t "]
        rows += [_column(item) for item in keys]
    if full:
        rows += _details(database, table)
    return TextResult(header, tuple(rows))


def _details(database: str, table: Table) -> list[str]:
    storage = table["StorageDescriptor"]
    serde = storage.get("SerdeInfo") or {}
    created = table.get("CreateTime")
    rows = ["\t \t ", _line("# Detailed Table Information", " ", " ")]
    facts = {
        "Database:": database,
        "Owner:": table.get("Owner", ""),
        "CreateTime:": f"{created:%a %b %d %H:%M:%S UTC %Y}" if isinstance(created, datetime) else "",
        "Location:": storage.get("Location", ""),
        "Table Type:": table.get("TableType", ""),
    }
    rows += [_line(name, value, " ") for name, value in facts.items()]
    rows.append(_line("Table Parameters:", " ", " "))
    rows += [f"\t{name:<20}\t{value:<20}" for name, value in sorted(table.get("Parameters", {}).items())]
    rows += ["\t \t ", _line("# Storage Information", " ", " ")]
    facts = {
        "SerDe Library:": serde.get("SerializationLibrary", ""),
        "InputFormat:": storage.get("InputFormat", ""),
        "OutputFormat:": storage.get("OutputFormat", ""),
        "Num Buckets:": str(storage.get("NumberOfBuckets", -1)),
    }
    rows += [_line(name, value, " ") for name, value in facts.items()]
    rows.append(_line("Storage Desc Params:", " ", " "))
    rows += [f"\t{name:<20}\t{value:<20}" for name, value in sorted((serde.get("Parameters") or {}).items())]
    return rows


def _line(*fields: str) -> str:
    return "\t".join(f"{value:<20}" for value in fields)


def _column(item: Column) -> str:
    return _line(item["Name"], item.get("Type", ""), item.get("Comment", ""))


def show_create_table(database: str, table: Table) -> str:
    """The statement that would create a Glue table, as SHOW CREATE TABLE prints it."""
    storage = table["StorageDescriptor"]
    serde = storage.get("SerdeInfo") or {}
    parameters = dict(table.get("Parameters") or {})
    external = "" if parameters.get("table_type", "").upper() == "ICEBERG" else "EXTERNAL "
    parameters.pop("EXTERNAL", None)
    comment = parameters.pop("comment", "") or table.get("Description", "")
    lines = [f"CREATE {external}TABLE `{database}.{table['Name']}`(", _column_lines(storage.get("Columns") or []) + ")"]
    if comment:
        lines += [f"COMMENT {_hive_literal(comment)}"]
    if table.get("PartitionKeys"):
        lines += ["PARTITIONED BY ( ", _column_lines(table["PartitionKeys"]) + ")"]
    if external:
        if storage.get("BucketColumns") and storage.get("NumberOfBuckets", -1) > 0:
            names = ", ".join(f"`{name}`" for name in storage["BucketColumns"])
            lines += [f"CLUSTERED BY ({names})", f"INTO {storage['NumberOfBuckets']} BUCKETS"]
        lines += ["ROW FORMAT SERDE ", f"  {_hive_literal(serde.get('SerializationLibrary', hive_ddl.LAZY_SIMPLE))} "]
        if serde.get("Parameters"):
            lines += ["WITH SERDEPROPERTIES ( ", _property_lines(serde["Parameters"]) + ") "]
        lines += ["STORED AS INPUTFORMAT ", f"  {_hive_literal(storage.get('InputFormat', hive_ddl.TEXT_INPUT))} "]
        lines += ["OUTPUTFORMAT ", f"  {_hive_literal(storage.get('OutputFormat', hive_ddl.TEXT_OUTPUT))}"]
    lines += ["LOCATION", f"  {_hive_literal(storage.get('Location', ''))}"]
    if parameters:
        lines += ["TBLPROPERTIES (", _property_lines(parameters) + ")"]
    return "\n".join(lines)


def _column_lines(columns: list[Column]) -> str:
    return ", \n".join(
        f"  `{column['Name']}` {column['Type']}"
        + (f" COMMENT {_hive_literal(column['Comment'])}" if column.get("Comment") else "")
        for column in columns
    )


def _property_lines(properties: Mapping[str, str]) -> str:
    return ", \n".join(f"  {_hive_literal(name)}={_hive_literal(value)}" for name, value in sorted(properties.items()))


def _hive_literal(text: str) -> str:
    escaped = "".join(
        {"\\": "\\\\", "'": "\\'", "\t": "\\t", "\n": "\\n", "\r": "\\r"}.get(character)
        or (f"\\u{ord(character):04x}" if ord(character) < 32 else character)
        for character in text
    )
    return f"'{escaped}'"
