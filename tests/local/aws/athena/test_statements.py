"""Athena's statements: tokens, kinds, sources, parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.aws.athena import statements
from local.aws.athena.statements import Statement
from local.aws.athena.tokens import SqlError


def test_one_statement() -> None:
    assert Statement.parse("select ';' -- ;\n ; ; ").sql == "select ';'"
    assert Statement.parse("/* a; */ select 1").sql == "/* a; */ select 1"
    for sql in ("", " ;; ", "-- nothing"):
        with pytest.raises(SqlError, match="mismatched input '<EOF>'"):
            Statement.parse(sql)
    with pytest.raises(SqlError, match="Only one sql statement is allowed"):
        Statement.parse("select 1; select 2")


def test_backquotes_become_double_quotes_except_in_strings() -> None:
    statement = Statement.parse("\n select `a b`, '`c`' from `d`.`e`")
    assert statement.for_trino == '\n select "a b", \'`c`\' from "d"."e"'
    assert Statement.parse('select `a"b`').for_trino == 'select "a""b"'


@given(st.text(alphabet="abc`\"'; \n-/*?()\\"))
def test_any_text_is_read_without_losing_a_word(text: str) -> None:
    try:
        statement = Statement.parse(f"select {text}")
    except SqlError:
        return
    assert f"select {text}".startswith(statement.sql)
    assert [token.text for token in statement.tokens] == [
        statement.sql[token.start : token.end] for token in statement.tokens
    ]


def test_tokens_are_of_the_dialect_that_the_statement_is_written_in() -> None:
    words = "(a int comment 'it\\'s') location \"s3://b/\""
    hive = Statement.parse(f"create external table t {words}")
    assert [token.value for token in hive.tokens if token.kind == "hive_string"] == ["it's", "s3://b/"]
    assert hive.cursor().expect_table("d") == ("d", "t")
    trino = Statement.parse("select 'it''s', \"a\" from t")
    assert [token.value for token in trino.tokens if token.kind in ("string", "quoted")] == ["it's", "a"]


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
    statement = Statement.parse(sql)
    assert (statement.type, statement.kind) == expected


@pytest.mark.parametrize("sql", ["grant select on t to u", "call a.b()", "create function f", "use db", "commit"])
def test_statements_that_athena_does_not_have(sql: str) -> None:
    with pytest.raises(SqlError, match="Queries of this type are not supported"):
        Statement.parse(sql)


def test_sources_of_a_query() -> None:
    sql = """
        with a as (select 1 from "T1", d.t2 as x, t3 y join `t4` z on x.b = y.b)
        select extract(day from c), (select max(b) from awsdatacatalog.e.t5) from a, unnest(array[1]) as u (n)"""
    found = statements.sources(Statement.parse(sql), "s")
    assert found >= {("s", "t1"), ("d", "t2"), ("s", "t3"), ("s", "t4"), ("e", "t5"), ("s", "a")}


def test_parameters_are_values_never_sql() -> None:
    sql = "select '?' from t where a = ? and b = ? limit ?"
    assert bound(sql, "'x'", "DATE '2024-01-01'", "5") == (
        "select '?' from t where a = 'x' and b = DATE '2024-01-01' limit 5"
    )
    for evil in ("1 or 1 = 1", "x' or 'a' = 'a", "Seattle", "2020-01-01", "1; drop table t", "", "(select 1)"):
        assert bound("select ?", evil) == f"select {as_literal(evil)}"
    assert bound("select ?", "-5") == "select -5"
    assert bound("select ?", "cast('1' as bigint)") == "select cast('1' as bigint)"
    with pytest.raises(SqlError, match="expected 1 but found 0"):
        bound("select ?")


def bound(sql: str, *parameters: str) -> str:
    return statements.bind(Statement.parse(sql), list(parameters)).sql


def as_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_execute_reads_values() -> None:
    execute = Statement.parse("EXECUTE q USING 'a,b', row(1, 2), -3")
    assert statements.execute(execute) == ("q", ["'a,b'", "row(1, 2)", "-3"])
    assert statements.execute(Statement.parse("execute Q")) == ("q", [])
    assert statements.prepare(Statement.parse("prepare q from select ?")) == ("q", "select ?")
