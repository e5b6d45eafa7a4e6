"""Hive's DDL is read and written back, its types are translated."""

from __future__ import annotations

import pytest

from local.aws.athena import glue_tables
from local.aws.athena.hive_ddl import FORMATS, CreateTable, parse_create_table, transform, trino_type
from local.aws.athena.show import show_create_table
from local.aws.athena.statements import Statement
from local.aws.athena.tokens import Cursor, SqlError, tokenize

DDL = r"""
CREATE EXTERNAL TABLE IF NOT EXISTS `web`.`Visits` (
  `Id` bigint COMMENT 'it\'s "the" id', -- a comment
  tags ARRAY<STRUCT<k: string, v: MAP<string, decimal(5, 2)>>>,
  note string)
COMMENT 'visits'
PARTITIONED BY (`year` string COMMENT 'yyyy', month int)
CLUSTERED BY (id) INTO 8 BUCKETS
ROW FORMAT DELIMITED FIELDS TERMINATED BY '\t' ESCAPED BY '\\' COLLECTION ITEMS TERMINATED BY '\002'
  LINES TERMINATED BY '\n'
STORED AS TEXTFILE
LOCATION 's3://bucket/visits/'
TBLPROPERTIES ("projection.enabled"="true", 'skip.header.line.count' = '1');
"""


def parsed(sql: str) -> CreateTable:
    return parse_create_table(Statement.parse(sql).cursor(), "default")


def test_create_external_table() -> None:
    ddl = parsed(DDL)
    assert (ddl.database, ddl.table, ddl.if_not_exists, ddl.is_iceberg) == ("web", "visits", True, False)
    table = ddl.table_input()
    storage = table["StorageDescriptor"]
    assert storage["Columns"] == [
        {"Name": "id", "Type": "bigint", "Comment": 'it\'s "the" id'},
        {"Name": "tags", "Type": "array<struct<k:string,v:map<string,decimal(5,2)>>>"},
        {"Name": "note", "Type": "string"},
    ]
    assert table["PartitionKeys"] == [
        {"Name": "year", "Type": "string", "Comment": "yyyy"},
        {"Name": "month", "Type": "int"},
    ]
    assert storage["SerdeInfo"]["Parameters"] == {
        "field.delim": "\t",
        "escape.delim": "\\",
        "collection.delim": "\x02",
        "line.delim": "\n",
        "serialization.format": "\t",
    }
    assert (storage["NumberOfBuckets"], storage["BucketColumns"]) == (8, ["id"])
    assert table["Parameters"] == {
        "EXTERNAL": "TRUE", "projection.enabled": "true", "skip.header.line.count": "1", "comment": "visits",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_stored_as(name: str) -> None:
    ddl = parsed(f"create external table t (a int) stored as {name.lower()} location 's3://b/t/'")
    assert (ddl.input_format, ddl.output_format, ddl.serde) == FORMATS[name]


def test_show_create_table_reads_back_as_the_same_table() -> None:
    ddl = parsed(DDL)
    shown = show_create_table("web", ddl.table_input())
    again = parsed(shown)
    assert again.table_input() == ddl.table_input()
    assert (again.database, again.table) == ("web", "visits")


def test_ddl_refusals() -> None:
    for sql, message in {
        "create table t (a int) location 's3://b/'": "External keyword required",
        "create external table t (a int)": "missing LOCATION",
        "create external table t (a int) stored as pickle location 's3://b/'": "Unrecognized file format",
        "create external table t (a int) ordered by x": "line 1:33: mismatched input 'ordered'",
        "create external table t a int": "line 1:25: mismatched input 'a'",
    }.items():
        with pytest.raises(SqlError, match=message):
            parsed(sql)


def test_iceberg_ddl() -> None:
    ddl = parsed(
        "create table t (id bigint comment 'x', at timestamp, part struct<a:int,b:array<string>>) "
        "partitioned by (bucket(16, id), month(at), day(`at`)) location 's3://b/t/' "
        "tblproperties ('table_type' = 'iceberg', 'format' = 'orc')",
    )
    assert ddl.iceberg_sql() == (
        'CREATE TABLE iceberg."default"."t" ("id" bigint COMMENT \'x\', "at" timestamp(6), '
        '"part" row("a" integer, "b" array(varchar))) WITH (location = \'s3://b/t\', format = \'ORC\', '
        "partitioning = ARRAY['bucket(id, 16)', 'month(at)', 'day(at)'])"
    )


@pytest.mark.parametrize(
    ("hive", "trino"),
    [
        ("string", "varchar"),
        ("decimal(5,2)", "decimal(5,2)"),
        ("map<string,array<int>>", "map(varchar, array(integer))"),
        ("struct<a:struct<b:float>,c:binary>", 'row("a" row("b" real), "c" varbinary)'),
    ],
)
def test_types_go_to_trino_and_back(hive: str, trino: str) -> None:
    assert trino_type(hive) == trino
    assert glue_tables.from_trino(trino) == hive


def test_types_of_iceberg_metadata() -> None:
    kind = {
        "type": "struct",
        "fields": [
            {"name": "a", "type": "long"},
            {"name": "b", "type": {"type": "list", "element": "timestamptz"}},
            {"name": "c", "type": {"type": "map", "key": "string", "value": "decimal(5, 2)"}},
        ],
    }
    assert glue_tables.from_iceberg(kind) == "struct<a:bigint,b:array<timestamp>,c:map<string,decimal(5,2)>>"
    assert glue_tables.from_trino("timestamp(3) with time zone") == "timestamp"
    assert glue_tables.from_trino("varchar(10)") == "string"
    partition = "truncate(4, `State`)"
    assert transform(Cursor(partition, tokenize(partition, hive=True))) == "truncate(state, 4)"
