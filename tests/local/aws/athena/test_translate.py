"""Athena's statements in Trino's spelling: CTAS, UNLOAD, OPTIMIZE, EXPLAIN."""

from __future__ import annotations

import pytest

from local.aws.athena import translate
from local.aws.athena.statements import Statement
from local.aws.athena.tokens import SqlError


def test_ctas_of_a_hive_table() -> None:
    work = translate.ctas(
        Statement.parse(
            "create table if not exists `B`.t comment 'it''s' with (format = 'parquet', write_compression = 'zstd', "
            "partitioned_by = ARRAY['m', 'n'], bucketed_by = array['a'], bucket_count = 4) as select `a`, m, n from x"
        ),
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
    text = translate.ctas(Statement.parse(delimited), "d", "s3://r/", enforced=False)
    assert "textfile_field_separator = ','" in text.sql


def test_ctas_of_an_iceberg_table() -> None:
    work = translate.ctas(
        Statement.parse(
            "create table t with (table_type = 'ICEBERG', is_external = false, location = 's3://b/t/', "
            "format = 'parquet', partitioning = ARRAY['month(at)', 'bucket(16, id)', 'state'], "
            "vacuum_max_snapshot_age_seconds = 60) as select 1"
        ),
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
    assert "s3://b/t/" in translate.ctas(Statement.parse(external), "d", "s3://r/", enforced=False).sql
    with pytest.raises(SqlError, match="enforces a centralized output location"):
        translate.ctas(Statement.parse(external), "d", "s3://r/", enforced=True)
    unknown = Statement.parse("create table t with (size = 1, colour = 'red') as select 1 a")
    with pytest.raises(SqlError, match="property is not supported: colour, size"):
        translate.ctas(unknown, "d", "s3://r/", enforced=True)


def test_unload() -> None:
    work = translate.unload(
        Statement.parse(
            "UNLOAD (SELECT a, ')' FROM (select 1 a)) TO 's3://b/u/' WITH (format = 'JSON', compression = 'gzip', "
            "partitioned_by = ARRAY['a'])"
        ),
        "1-2",
    )
    assert work.sql == (
        "CREATE TABLE unload.athena.\"q_1_2\" WITH (external_location = 's3://b/u/', format = 'JSON', "
        "partitioned_by = ARRAY['a']) AS\nSELECT a, ')' FROM (select 1 a)"
    )
    assert work.explain == "SELECT a, ')' FROM (select 1 a)"
    assert work.after == ('DROP TABLE IF EXISTS unload.athena."q_1_2"',)
    with pytest.raises(SqlError, match="needs the property format"):
        translate.unload(Statement.parse("unload (select 1) to 's3://b/u/'"), "1")


def test_optimize_and_explain() -> None:
    sql = "OPTIMIZE `d`.t REWRITE DATA USING BIN_PACK WHERE partition_0 = '2026'"
    expected = 'ALTER TABLE iceberg."d"."t" EXECUTE optimize WHERE partition_0 = \'2026\''
    assert translate.optimize(Statement.parse(sql).cursor(), "x") == (expected, "d", "t")
    work = translate.explain(Statement.parse("explain (type logical, format json) select `a` from t"))
    assert work.sql == 'explain (type logical, format json) select "a" from t'
    assert work.explain == 'select "a" from t'
    with pytest.raises(SqlError, match="EXPLAIN of SHOW TABLES is not supported"):
        translate.explain(Statement.parse("explain show tables"))
