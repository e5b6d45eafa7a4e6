"""Athena's translations and files without any service: words, statements, Hive's DDL, types, results, the store."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.executors.athena import lake_types, results, statements, translate
from local.executors.athena.hive_ddl import FORMATS, parse_create_table, transform, trino_type
from local.executors.athena.show import describe, show_create_table
from local.executors.athena.store import HISTORY_SECONDS, Store
from local.executors.athena.tokens import SqlError, for_trino, one_statement

# words


def test_one_statement() -> None:
    assert one_statement("select ';' -- ;\n ; ; ") == "select ';'"
    assert one_statement("/* a; */ select 1") == "/* a; */ select 1"
    for sql in ("", " ;; ", "-- nothing"):
        with pytest.raises(SqlError, match="mismatched input '<EOF>'"):
            one_statement(sql)
    with pytest.raises(SqlError, match="Only one sql statement is allowed"):
        one_statement("select 1; select 2")


def test_backquotes_become_double_quotes_except_in_strings() -> None:
    assert for_trino("select `a b`, '`c`' from `d`.`e`") == 'select "a b", \'`c`\' from "d"."e"'
    assert for_trino('select `a"b`') == 'select "a""b"'


@given(st.text(alphabet="abc`\"'; \n-/*?()\\"))
def test_any_text_is_read_without_losing_a_word(text: str) -> None:
    try:
        statement = one_statement(text)
    except SqlError:
        return
    assert statement in text


# statements


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", ("DML", "SELECT")),
        ("WITH a AS (SELECT 1) SELECT * FROM a", ("DML", "SELECT")),
        ("(select 1) union (select 2)", ("DML", "SELECT")),
        ("values 1", ("DML", "SELECT")),
        ("insert into t select 1", ("DML", "INSERT")),
        ("create table t as select 1 a", ("DDL", "CREATE_TABLE_AS_SELECT")),
        (
            "create table if not exists a.b comment 'x' with (format = 'ORC') as select 1 a",
            ("DDL", "CREATE_TABLE_AS_SELECT"),
        ),
        ("create table t (a int) location 's3://b/' tblproperties ('table_type'='iceberg')", ("DDL", "CREATE_TABLE")),
        ("create external table t (a int) stored as parquet location 's3://b/'", ("DDL", "CREATE_TABLE")),
        ("create or replace view v as select 1 a", ("DDL", "CREATE_VIEW")),
        ("SHOW CREATE TABLE t", ("UTILITY", "SHOW_CREATE_TABLE")),
        ("desc t", ("UTILITY", "DESCRIBE")),
        ("explain select 1", ("UTILITY", "EXPLAIN")),
        ("unload (select 1) to 's3://b/'", ("DML", "UNLOAD")),
        ("msck repair table t", ("DDL", "MSCK_REPAIR_TABLE")),
    ],
)
def test_types_of_statements(sql: str, expected: tuple[str, str]) -> None:
    statement = statements.classify(sql)
    assert (statement.type, statement.kind) == expected


@pytest.mark.parametrize("sql", ["grant select on t to u", "call a.b()", "create function f", "use db", "commit"])
def test_statements_that_athena_does_not_have(sql: str) -> None:
    with pytest.raises(SqlError, match="Queries of this type are not supported"):
        statements.classify(sql)


def test_ctas_of_a_hive_table() -> None:
    work = translate.ctas(
        "create table if not exists `B`.t comment 'it''s' with (format = 'parquet', write_compression = 'zstd', "
        "partitioned_by = ARRAY['m', 'n'], bucketed_by = array['a'], bucket_count = 4) as select `a`, m, n from x",
        "db",
        "s3://r/tables/1/",
        enforced=True,
    )
    assert work.sql == (
        "CREATE TABLE IF NOT EXISTS awsdatacatalog.\"b\".\"t\" COMMENT 'it''s' WITH (format = 'PARQUET', "
        "external_location = 's3://r/tables/1/', partitioned_by = ARRAY['m', 'n'], bucketed_by = array['a'], "
        'bucket_count = 4) AS\nselect "a", m, n from x'
    )
    assert work.properties == {"awsdatacatalog.compression_codec": "ZSTD"}
    assert (work.creates, work.writes_to) == (("b", "t"), "s3://r/tables/1/")
    delimited = "create table t with (format='TEXTFILE', field_delimiter = ',') as select 1"
    text = translate.ctas(delimited, "d", "s3://r/", enforced=False)
    assert "textfile_field_separator = ','" in text.sql


def test_ctas_of_an_iceberg_table() -> None:
    work = translate.ctas(
        "create table t with (table_type = 'ICEBERG', is_external = false, location = 's3://b/t/', format = 'parquet', "
        "partitioning = ARRAY['month(at)', 'bucket(16, id)', 'state'], vacuum_max_snapshot_age_seconds = 60) "
        "as select 1",
        "db",
        "s3://r/",
        enforced=True,
    )
    assert work.sql == (
        "CREATE TABLE iceberg.\"db\".\"t\" WITH (format = 'PARQUET', location = 's3://b/t', "
        "partitioning = ARRAY['month(at)', 'bucket(id, 16)', 'state']) AS\nselect 1"
    )
    assert work.properties == {"iceberg.compression_codec": "GZIP"}


def test_ctas_refusals() -> None:
    external = "create table t with (external_location = 's3://b/t/') as select 1 a"
    assert "s3://b/t/" in translate.ctas(external, "d", "s3://r/", enforced=False).sql
    with pytest.raises(SqlError, match="enforces a centralized output location"):
        translate.ctas(external, "d", "s3://r/", enforced=True)
    with pytest.raises(SqlError, match="property is not supported: colour, size"):
        translate.ctas("create table t with (size = 1, colour = 'red') as select 1 a", "d", "s3://r/", enforced=True)


def test_unload() -> None:
    work = translate.unload(
        "UNLOAD (SELECT a, ')' FROM (select 1 a)) TO 's3://b/u/' WITH (format = 'JSON', compression = 'gzip', "
        "partitioned_by = ARRAY['a'])",
        "1-2",
    )
    assert work.sql == (
        "CREATE TABLE unload.athena.\"q_1_2\" WITH (external_location = 's3://b/u/', format = 'JSON', "
        "partitioned_by = ARRAY['a']) AS\nSELECT a, ')' FROM (select 1 a)"
    )
    assert work.explain == "SELECT a, ')' FROM (select 1 a)"
    assert work.after == ('DROP TABLE IF EXISTS unload.athena."q_1_2"',)
    with pytest.raises(SqlError, match="needs the property format"):
        translate.unload("unload (select 1) to 's3://b/u/'", "1")


def test_optimize_and_explain() -> None:
    sql = "OPTIMIZE `d`.t REWRITE DATA USING BIN_PACK WHERE partition_0 = '2026'"
    expected = 'ALTER TABLE iceberg."d"."t" EXECUTE optimize WHERE partition_0 = \'2026\''
    assert translate.optimize(sql, "x") == (expected, "d", "t")
    work = translate.explain("explain (type logical, format json) select `a` from t")
    assert work.sql == 'explain (type logical, format json) select "a" from t'
    assert work.explain == 'select "a" from t'
    with pytest.raises(SqlError, match="EXPLAIN of SHOW TABLES is not supported"):
        translate.explain("explain show tables")


def test_sources_of_a_query() -> None:
    sql = """
        with a as (select 1 from "T1", d.t2 as x, t3 y join `t4` z on x.b = y.b)
        select extract(day from c), (select max(b) from awsdatacatalog.e.t5) from a, unnest(array[1]) as u (n)"""
    found = statements.sources(sql, "s")
    assert found >= {("s", "t1"), ("d", "t2"), ("s", "t3"), ("s", "t4"), ("e", "t5"), ("s", "a")}


def test_parameters_are_values_never_sql() -> None:
    sql = "select '?' from t where a = ? and b = ? limit ?"
    assert statements.bind(sql, ["'x'", "DATE '2024-01-01'", "5"]) == (
        "select '?' from t where a = 'x' and b = DATE '2024-01-01' limit 5"
    )
    for evil in ("1 or 1 = 1", "x' or 'a' = 'a", "Seattle", "2020-01-01", "1; drop table t", "", "(select 1)"):
        assert statements.bind("select ?", [evil]) == f"select {results_literal(evil)}"
    assert statements.bind("select ?", ["-5"]) == "select -5"
    assert statements.bind("select ?", ["cast('1' as bigint)"]) == "select cast('1' as bigint)"
    with pytest.raises(SqlError, match="expected 1 but found 0"):
        statements.bind("select ?", [])


def results_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_execute_reads_values() -> None:
    assert statements.execute("EXECUTE q USING 'a,b', row(1, 2), -3") == ("q", ["'a,b'", "row(1, 2)", "-3"])
    assert statements.execute("execute Q") == ("q", [])
    assert statements.prepare("prepare q from select ?") == ("q", "select ?")


# Hive's DDL

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


def test_create_external_table() -> None:
    ddl = parse_create_table(one_statement(DDL), "default")
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
    ddl = parse_create_table(f"create external table t (a int) stored as {name.lower()} location 's3://b/t/'", "d")
    assert (ddl.input_format, ddl.output_format, ddl.serde) == FORMATS[name]


def test_show_create_table_reads_back_as_the_same_table() -> None:
    ddl = parse_create_table(one_statement(DDL), "default")
    shown = show_create_table("web", ddl.table_input())
    again = parse_create_table(shown, "default")
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
            parse_create_table(sql, "d")


def test_iceberg_ddl() -> None:
    ddl = parse_create_table(
        "create table t (id bigint comment 'x', at timestamp, part struct<a:int,b:array<string>>) "
        "partitioned by (bucket(16, id), month(at), day(`at`)) location 's3://b/t/' "
        "tblproperties ('table_type' = 'iceberg', 'format' = 'orc')",
        "d",
    )
    assert ddl.iceberg_sql() == (
        'CREATE TABLE iceberg."d"."t" ("id" bigint COMMENT \'x\', "at" timestamp(6), '
        '"part" row("a" integer, "b" array(varchar))) WITH (location = \'s3://b/t\', format = \'ORC\', '
        "partitioning = ARRAY['bucket(id, 16)', 'month(at)', 'day(at)'])"
    )


# types


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
    assert lake_types.from_trino(trino) == hive


def test_types_of_iceberg_metadata() -> None:
    kind = {
        "type": "struct",
        "fields": [
            {"name": "a", "type": "long"},
            {"name": "b", "type": {"type": "list", "element": "timestamptz"}},
            {"name": "c", "type": {"type": "map", "key": "string", "value": "decimal(5, 2)"}},
        ],
    }
    assert lake_types.from_iceberg(kind) == "struct<a:bigint,b:array<timestamp>,c:map<string,decimal(5,2)>>"
    assert lake_types.from_trino("timestamp(3) with time zone") == "timestamp"
    assert lake_types.from_trino("varchar(10)") == "string"
    assert transform("truncate(4, `State`)") == "truncate(state, 4)"


# results


def signature(raw: str, *arguments: Any) -> dict[str, Any]:
    return {"rawType": raw, "arguments": [{"kind": "TYPE", "value": argument} for argument in arguments]}


def field(name: str | None, kind: dict[str, Any]) -> dict[str, Any]:
    return {"fieldName": {"name": name} if name else None, "typeSignature": kind}


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, signature("bigint"), None),
        (7, signature("bigint"), "7"),
        (True, signature("boolean"), "true"),
        ("", signature("varchar"), ""),
        (1.0, signature("double"), "1.0"),
        (100, signature("double"), "100.0"),
        (12345678.9, signature("double"), "1.23456789E7"),
        (1e-5, signature("double"), "1.0E-5"),
        (0.00012, signature("double"), "1.2E-4"),
        (1.5e300, signature("double"), "1.5E300"),
        (9999999.0, signature("double"), "9999999.0"),
        (-0.0, signature("double"), "-0.0"),
        ("NaN", signature("double"), "NaN"),
        ("-Infinity", signature("real"), "-Infinity"),
        ("ZWY=", signature("varbinary"), "65 66"),
        (["a", None], signature("array", signature("varchar")), "[a, null]"),
        ({"k": [1.0]}, signature("map", signature("varchar"), signature("array", signature("double"))), "{k=[1.0]}"),
        (
            [1, "z"],
            signature("row", field("p", signature("bigint")), field(None, signature("varchar"))),
            "{p=1, field1=z}",
        ),
    ],
)
def test_text_of_values(value: Any, kind: dict[str, Any], expected: str | None) -> None:
    assert results.text(value, kind) == expected


@given(st.lists(st.lists(st.one_of(st.none(), st.text(alphabet='a",\nä')), min_size=2, max_size=2), max_size=6))
def test_csv_keeps_null_and_empty_apart(rows: list[list[str | None]]) -> None:
    lines = "".join(results.csv_line(row) for row in rows)
    assert results.parse_csv(lines, 100) == (rows, len(lines))
    if rows:  # what is cut off is not read
        assert results.parse_csv(lines[:-1], 100)[0] == rows[:-1]
        assert results.parse_csv(lines, 1)[0] == rows[:1]


def test_metadata_file_holds_the_columns() -> None:
    columns = [results.column("a", "varchar"), results.column("b", "double")]
    content = results.metadata(columns, "query-1")
    fields = protobuf(content)
    assert fields[0] == (1, b"query-1")
    names = [dict(protobuf(column))[4] for number, column in fields[1:] if number == 4]
    kinds = [dict(protobuf(column))[6] for number, column in fields[1:] if number == 4]
    precisions = [dict(protobuf(column))[7] for number, column in fields[1:] if number == 4]
    assert (names, kinds, precisions) == ([b"a", b"b"], [b"varchar", b"double"], [2147483647, 17])


def protobuf(content: bytes) -> list[tuple[int, Any]]:
    """Fields of a message: numbers and byte strings."""
    position = 0

    def number() -> int:
        nonlocal position
        value, shift = 0, 0
        while True:
            byte = content[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    fields: list[tuple[int, Any]] = []
    while position < len(content):
        key = number()
        if key & 7 == 2:
            length = number()
            fields.append((key >> 3, content[position : position + length]))
            position += length
        else:
            fields.append((key >> 3, number()))
    return fields


def test_describe_shows_partition_keys_twice() -> None:
    table = {
        "StorageDescriptor": {"Columns": [{"Name": "a", "Type": "int", "Comment": "x"}]},
        "PartitionKeys": [{"Name": "m", "Type": "string"}],
    }
    rows = [row.split() for row in describe("d", table, full=False).rows]
    assert rows == [
        ["a", "int", "x"],
        ["m", "string"],
        [],
        ["#", "Partition", "Information"],
        ["#", "col_name", "data_type", "comment"],
        [],
        ["m", "string"],
    ]


# the store


def execution(number: int, submitted: float) -> dict[str, Any]:
    return {
        "QueryExecutionId": f"id-{number}",
        "WorkGroup": "w",
        "Status": {"State": "QUEUED", "SubmissionDateTime": submitted},
    }


def test_history_is_ordered_and_bounded(tmp_path: Path) -> None:
    store = Store(tmp_path / "athena.sqlite")
    now = time.time()
    store.add_execution(execution(0, now - HISTORY_SECONDS - 60), None, "")
    for number in range(1, 5):
        store.add_execution(execution(number, now + number), None, "")
    assert store.execution_ids("w", 10, 0) == ["id-4", "id-3", "id-2", "id-1"]
    assert store.execution_ids("w", 2, 1) == ["id-3", "id-2"]
    assert store.execution("id-0") is None
    store.close()


def test_tokens_name_one_execution(tmp_path: Path) -> None:
    store = Store(tmp_path / "athena.sqlite")
    assert store.add_execution(execution(1, time.time()), "token", "a") == ("id-1", "a")
    assert store.add_execution(execution(2, time.time()), "token", "b") == ("id-1", "a")
    assert store.execution("id-2") is None
    store.close()


def test_what_was_kept_survives_without_a_clean_end(tmp_path: Path) -> None:
    store = Store(tmp_path / "athena.sqlite")
    document = execution(1, time.time())
    store.add_execution(document, None, "")
    store.add_named_query({"NamedQueryId": "n", "WorkGroup": "w", "Name": "Q"}, None)
    store.add_prepared({"WorkGroupName": "w", "StatementName": "p", "QueryStatement": "select ?"})
    again = Store(tmp_path / "athena.sqlite")  # the first was never closed, as after a kill
    assert again.unfinished() == [document]
    assert again.named_query("n") == {"NamedQueryId": "n", "WorkGroup": "w", "Name": "Q"}
    assert again.prepared("w", "p") is not None
    document["Status"]["State"] = "FAILED"
    again.save_execution(document, finished=True)
    assert again.unfinished() == []
    assert again.holds("w")
    again.forget("w")
    assert not again.holds("w")
    again.close()
    store.close()
    with sqlite3.connect(tmp_path / "athena.sqlite") as database:
        assert database.execute("select count(*) from executions").fetchone() == (0,)


def test_documents_are_json_of_the_api(tmp_path: Path) -> None:
    store = Store(tmp_path / "athena.sqlite")
    document = execution(1, 1_800_000_000.25)
    store.add_execution(document, None, "")
    assert json.loads(json.dumps(store.execution("id-1"))) == document
    store.close()
