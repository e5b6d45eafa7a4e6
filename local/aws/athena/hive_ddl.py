"""Hive's CREATE TABLE in Athena's form, read into the TableInput of the Glue API."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.aws.athena.glue_tables import Column, Table, split_types
from local.aws.athena.tokens import Cursor, SqlError, literal, quote

_HADOOP = "org.apache.hadoop"
TEXT_INPUT = f"{_HADOOP}.mapred.TextInputFormat"
TEXT_OUTPUT = f"{_HADOOP}.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
LAZY_SIMPLE = f"{_HADOOP}.hive.serde2.lazy.LazySimpleSerDe"


def _format(stem: str, serde: str) -> tuple[str, str, str]:
    hive = f"{_HADOOP}.hive"
    return f"{hive}.ql.io.{stem}InputFormat", f"{hive}.ql.io.{stem}OutputFormat", f"{hive}.{serde}"


# STORED AS name: (input format, output format, SerDe)
FORMATS = {
    "TEXTFILE": (TEXT_INPUT, TEXT_OUTPUT, LAZY_SIMPLE),
    "JSONFILE": (TEXT_INPUT, TEXT_OUTPUT, "org.apache.hive.hcatalog.data.JsonSerDe"),
    "PARQUET": _format("parquet.MapredParquet", "ql.io.parquet.serde.ParquetHiveSerDe"),
    "ORC": _format("orc.Orc", "ql.io.orc.OrcSerde"),
    "AVRO": _format("avro.AvroContainer", "serde2.avro.AvroSerDe"),
    "RCFILE": _format("RCFile", "serde2.columnar.LazyBinaryColumnarSerDe"),
    "SEQUENCEFILE": (
        f"{_HADOOP}.mapred.SequenceFileInputFormat", f"{_HADOOP}.hive.ql.io.HiveSequenceFileOutputFormat", LAZY_SIMPLE,
    ),
}  # fmt: skip
# ROW FORMAT DELIMITED clause: SerDe parameter
_DELIMITERS = {
    ("FIELDS", "TERMINATED", "BY"): "field.delim",
    ("ESCAPED", "BY"): "escape.delim",
    ("COLLECTION", "ITEMS", "TERMINATED", "BY"): "collection.delim",
    ("MAP", "KEYS", "TERMINATED", "BY"): "mapkey.delim",
    ("LINES", "TERMINATED", "BY"): "line.delim",
    ("NULL", "DEFINED", "AS"): "serialization.null.format",
}
# Hive type: Trino type, where they differ
_TRINO_TYPES = {
    "string": "varchar", "int": "integer", "float": "real", "binary": "varbinary", "timestamp": "timestamp(6)",
    "timestamptz": "timestamp(6) with time zone",
}  # fmt: skip


@dataclass
class CreateTable:
    """A CREATE TABLE: ``partition_keys`` of a Hive table, ``partition_by`` of an Iceberg table in Trino's spelling."""

    database: str
    table: str
    external: bool
    if_not_exists: bool
    columns: list[Column]
    comment: str = ""
    partition_keys: list[Column] = field(default_factory=list)
    partition_by: list[str] = field(default_factory=list)
    bucket_columns: list[str] = field(default_factory=list)
    buckets: int = -1
    input_format: str = TEXT_INPUT
    output_format: str = TEXT_OUTPUT
    serde: str = LAZY_SIMPLE
    serde_properties: dict[str, str] = field(default_factory=dict)
    location: str = ""
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def is_iceberg(self) -> bool:
        """Whether TBLPROPERTIES say that it is an Iceberg table."""
        return self.properties.get("table_type", "").upper() == "ICEBERG"

    def table_input(self) -> Table:
        """Glue's TableInput."""
        comment = {"comment": self.comment} if self.comment else {}
        return {
            "Name": self.table,
            "Owner": "hadoop",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", **self.properties, **comment},
            "PartitionKeys": self.partition_keys,
            "StorageDescriptor": {
                "Columns": self.columns,
                "Location": self.location,
                "InputFormat": self.input_format,
                "OutputFormat": self.output_format,
                "Compressed": False,
                "NumberOfBuckets": self.buckets,
                "SerdeInfo": {"SerializationLibrary": self.serde, "Parameters": self.serde_properties},
                "BucketColumns": self.bucket_columns,
                "SortColumns": [],
                "StoredAsSubDirectories": False,
            },
        }

    def iceberg_sql(self) -> str:
        """Trino's statement that creates the Iceberg table."""
        columns = ", ".join(
            f"{quote(column['Name'])} {trino_type(column['Type'])}"
            + (f" COMMENT {literal(column['Comment'])}" if column.get("Comment") else "")
            for column in self.columns
        )
        file_format = self.properties.get("format", "parquet").upper()
        wanted = {"location": literal(self.location.rstrip("/")), "format": literal(file_format)}
        if self.partition_by:
            wanted["partitioning"] = f"ARRAY[{', '.join(map(literal, self.partition_by))}]"
        settings = ", ".join(f"{name} = {value}" for name, value in wanted.items())
        exists = "IF NOT EXISTS " if self.if_not_exists else ""
        comment = f" COMMENT {literal(self.comment)}" if self.comment else ""
        name = f"iceberg.{quote(self.database)}.{quote(self.table)}"
        return f"CREATE TABLE {exists}{name} ({columns}){comment} WITH ({settings})"


def parse_create_table(cursor: Cursor, database: str) -> CreateTable:
    """Read the rest of ``CREATE [EXTERNAL] TABLE [IF NOT EXISTS] name (columns) ...``; raises SqlError."""
    external = cursor.tokens[1].is_word("EXTERNAL")
    if_not_exists = cursor.accept("IF", "NOT", "EXISTS")
    database, table = cursor.expect_table(database)
    ddl = CreateTable(database, table, external, if_not_exists, parse_columns(cursor) if cursor.peek("(") else [])
    while cursor.token:
        _clause(cursor, ddl)
    if not ddl.location:
        raise SqlError("FAILED: ParseException: missing LOCATION: Athena tables need one")
    if ddl.is_iceberg and (not ddl.columns or ddl.external):
        raise SqlError("Iceberg tables need a list of columns and no EXTERNAL keyword")
    if not ddl.is_iceberg and not ddl.external:
        raise SqlError("External keyword required for table type HIVE")
    return ddl


def _clause(cursor: Cursor, ddl: CreateTable) -> None:
    if cursor.accept("COMMENT"):
        ddl.comment = cursor.expect_string()
    elif cursor.accept("PARTITIONED", "BY"):
        cursor.expect_list(lambda item: _partition(item, ddl))
    elif cursor.accept("CLUSTERED", "BY"):
        ddl.bucket_columns = cursor.expect_list(Cursor.expect_name)
        cursor.expect("INTO")
        ddl.buckets = cursor.expect_number()
        cursor.expect("BUCKETS")
    elif cursor.accept("ROW", "FORMAT", "DELIMITED"):
        _delimited(cursor, ddl)
    elif cursor.accept("ROW", "FORMAT", "SERDE"):
        ddl.serde = cursor.expect_string()
    elif cursor.accept("WITH", "SERDEPROPERTIES"):
        ddl.serde_properties = parse_properties(cursor)
    elif cursor.accept("STORED", "AS", "INPUTFORMAT"):
        ddl.input_format = cursor.expect_string()
        cursor.expect("OUTPUTFORMAT")
        ddl.output_format = cursor.expect_string()
    elif cursor.accept("STORED", "AS"):
        name = cursor.expect_name().upper()
        if name not in FORMATS:
            raise SqlError(f"FAILED: SemanticException Unrecognized file format in STORED AS clause: '{name}'")
        ddl.input_format, ddl.output_format, default_serde = FORMATS[name]
        if ddl.serde == LAZY_SIMPLE:
            ddl.serde = default_serde
    elif cursor.accept("LOCATION"):
        ddl.location = cursor.expect_string()
    elif cursor.accept("TBLPROPERTIES"):
        ddl.properties = parse_properties(cursor)
    else:
        raise cursor.error("TBLPROPERTIES")


def parse_columns(cursor: Cursor) -> list[Column]:
    """``(name type [COMMENT 'x'], ...)``."""
    return cursor.expect_list(_column)


def _column(cursor: Cursor) -> Column:
    name = cursor.expect_name()
    kind = "".join(token.text for token in cursor.until("COMMENT", ",", ")").tokens).lower().replace("`", "")
    comment = {"Comment": cursor.expect_string()} if cursor.accept("COMMENT") else {}
    return {"Name": name, "Type": kind, **comment}


def _partition(cursor: Cursor, ddl: CreateTable) -> None:
    """Hive declares new columns; Iceberg names columns of the table or transforms of them."""
    ahead = Cursor(cursor.sql, cursor.tokens, cursor.at)
    ahead.expect_name()
    if ahead.peek("(") or ahead.peek(",") or ahead.peek(")"):
        ddl.partition_by.append(transform(cursor))
    else:
        ddl.partition_keys.append(_column(cursor))


def parse_properties(cursor: Cursor) -> dict[str, str]:
    """``('name' = 'value', ...)``."""
    return dict(cursor.expect_list(_property))


def _property(cursor: Cursor) -> tuple[str, str]:
    name = cursor.expect_string()
    cursor.expect("=")
    return name, cursor.expect_string()


def _delimited(cursor: Cursor, ddl: CreateTable) -> None:
    while parameter := next((name for words, name in _DELIMITERS.items() if cursor.accept(*words)), None):
        ddl.serde_properties[parameter] = cursor.expect_string()
    if delimiter := ddl.serde_properties.get("field.delim"):
        ddl.serde_properties.setdefault("serialization.format", delimiter)


def transform(cursor: Cursor) -> str:
    """Read an Iceberg partition; in Trino's order of arguments ``bucket(16, id)`` becomes ``bucket(id, 16)``."""
    name = cursor.expect_name()
    if not cursor.peek("("):
        return name
    arguments = [token for token in cursor.expect_group().tokens if token.text != ","]
    arguments.sort(key=lambda token: token.kind == "number")
    return f"{name}({', '.join(token.value.lower() for token in arguments)})"


def trino_type(hive: str) -> str:
    """Trino's spelling of a Hive type: ``struct<a:array<int>>`` becomes ``row("a" array(integer))``."""
    outer, _, rest = hive.strip().partition("<")
    if not rest:
        return _TRINO_TYPES.get(outer, outer)
    inner = split_types(rest[: rest.rindex(">")])
    if outer == "struct":
        fields = (item.partition(":") for item in inner)
        return f"row({', '.join(f'{quote(name)} {trino_type(kind)}' for name, _, kind in fields)})"
    return f"{outer}({', '.join(trino_type(item) for item in inner)})"
