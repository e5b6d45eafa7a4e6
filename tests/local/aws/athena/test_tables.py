"""Tables of every kind on a real Trino: Hive's DDL, CTAS, INSERT, views, Iceberg, UNLOAD, the catalog's API."""

from __future__ import annotations

import io
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from tests.support.athena_home import DATA, DATABASE, OUTPUT, RESULTS, content, done, reason, rows, run

pytestmark = pytest.mark.trino


def test_json_table_with_partitions(athena: Any, s3: Any, glue: Any) -> None:
    lines = b'{"id":1,"Name":"a","tags":["x","y"],"geo":{"lat":1.5}}\n{"id":2,"name":null,"tags":[],"geo":null}\n'
    s3.put_object(Bucket=DATA, Key="visits/month=2026-01/a.json", Body=lines)
    s3.put_object(Bucket=DATA, Key="elsewhere/b.json", Body=b'{"id":3,"name":"c","tags":["z"],"geo":{"lat":2}}\n')
    done(
        athena,
        f"""create external table visits (id int, name string, tags array<string>, geo struct<lat:double>)
        partitioned by (month string) row format serde 'org.openx.data.jsonserde.JsonSerDe'
        location 's3://{DATA}/visits/'""",
    )
    assert rows(athena, "select count(*) from visits") == [["0"]]
    done(athena, "msck repair table visits")
    done(
        athena, f"alter table visits add if not exists partition (month = '2026-02') location 's3://{DATA}/elsewhere/'"
    )
    assert rows(athena, "show partitions visits") == [["month=2026-01"], ["month=2026-02"]]
    execution = done(athena, "select * from visits order by id")
    assert execution["Statistics"]["DataScannedInBytes"] == len(lines) + 49
    assert rows(athena, "select * from visits order by id") == [
        ["1", "a", "[x, y]", "{lat=1.5}", "2026-01"],
        ["2", None, "[]", None, "2026-01"],
        ["3", "c", "[z]", "{lat=2.0}", "2026-02"],
    ]
    done(athena, "alter table visits drop partition (month = '2026-01')")
    assert rows(athena, "select count(*) from visits") == [["1"]]
    described = [row[0] for row in rows(athena, "describe visits") if row[0]]
    assert [line.split("\t")[0].strip() for line in described][:5] == ["id", "name", "tags", "geo", "month"]
    assert any(line.startswith("# Partition Information") for line in described)
    done(athena, "drop table visits")
    assert s3.list_objects_v2(Bucket=DATA, Prefix="visits/")["KeyCount"] == 1  # Athena leaves the data


def test_show_and_alter(athena: Any, shops: str, glue: Any) -> None:
    assert ["shops"] in rows(athena, "show tables")
    assert rows(athena, "SHOW TABLES IN shop 'sho*'") == [["shops"]]
    assert rows(athena, "show tables like 'nothing*'") == []
    assert [DATABASE] in rows(athena, "show databases")
    assert rows(athena, f"show columns in {shops}") == [[f"{name:<20}"] for name in ("id", "name", "price")]
    assert ["skip.header.line.count\t1"] in rows(athena, f"show tblproperties {shops}")
    statement = "\n".join(row[0] or "" for row in rows(athena, f"show create table {shops}"))
    done(athena, f"alter table {shops} set tblproperties ('owner' = 'me')")
    done(athena, f"alter table {shops} add columns (extra int)")
    assert rows(athena, f"select * from {shops} order by id")[0] == ["1", "one", "1.50", None]
    done(athena, f"drop table {shops}")
    done(athena, statement)  # what SHOW CREATE TABLE printed makes the same table again
    table = glue.get_table(DatabaseName=DATABASE, Name=shops)["Table"]
    assert [column["Name"] for column in table["StorageDescriptor"]["Columns"]] == ["id", "name", "price"]
    assert table["StorageDescriptor"]["Columns"][1]["Comment"] == "it's"
    assert rows(athena, f"select * from {shops} order by id") == [["1", "one", "1.50"], ["2", "", "2.25"]]


def test_databases(athena: Any, glue: Any) -> None:
    done(athena, "create database if not exists annex comment 'b' with dbproperties ('a' = 'b')")
    done(athena, "create schema if not exists annex")
    assert glue.get_database(Name="annex")["Database"]["Description"] == "b"
    assert "AlreadyExistsException" in reason(run(athena, "create database annex"))
    done(athena, f"create external table annex.t (a int) location 's3://{DATA}/annex/'")
    assert "Database annex is not empty" in reason(run(athena, "drop database annex"))
    done(athena, "drop database annex cascade")
    assert "Database does not exist: annex" in reason(run(athena, "drop database annex"))
    done(athena, "drop database if exists annex")


def test_ctas_insert_and_view(athena: Any, shops: str, glue: Any, s3: Any) -> None:
    sql = (
        "create table copies with (format = 'PARQUET', write_compression = 'ZSTD', partitioned_by = array['price']) as "
    )
    execution = done(athena, sql + f"select id, name, price from {shops}")
    assert (execution["StatementType"], execution["SubstatementType"]) == ("DDL", "CREATE_TABLE_AS_SELECT")
    location = execution["ResultConfiguration"]["OutputLocation"]
    assert location == f"{OUTPUT}tables/{execution['QueryExecutionId']}"
    manifest = execution["Statistics"]["DataManifestLocation"]
    assert manifest == f"{location}-manifest.csv"
    written = (
        s3.get_object(Bucket=RESULTS, Key=manifest.partition(f"{RESULTS}/")[2])["Body"].read().decode().split("\n")
    )
    assert len(written) == 2
    assert all(path.startswith(f"{location}/price=") for path in written)
    table = glue.get_table(DatabaseName=DATABASE, Name="copies")["Table"]
    assert table["TableType"] == "EXTERNAL_TABLE"
    insert = done(athena, f"insert into copies select id + 10, 'new', price from {shops}")
    reply = athena.get_query_results(QueryExecutionId=insert["QueryExecutionId"])
    assert (reply["UpdateCount"], reply["ResultSet"]["Rows"]) == (2, [])
    done(
        athena,
        "create or replace view names as "
        "select name, count(*) as n, array_agg(id order by id) as ids from copies group by name",
    )
    assert rows(athena, "select * from names order by name") == [
        ["", "1", "[2]"],
        ["new", "2", "[11, 12]"],
        ["one", "1", "[1]"],
    ]
    view = glue.get_table(DatabaseName=DATABASE, Name="names")["Table"]
    assert view["TableType"] == "VIRTUAL_VIEW"
    assert [column["Type"] for column in view["StorageDescriptor"]["Columns"]] == ["string", "bigint", "array<bigint>"]
    assert rows(athena, "show views") == [["names"]]
    assert str(rows(athena, "show create view names")[0][0]).startswith("CREATE VIEW")
    done(athena, "drop view names")
    done(athena, "drop table copies")


def test_iceberg(athena: Any, shops: str, glue: Any, s3: Any) -> None:
    done(
        athena,
        f"""create table stock (id bigint, at timestamp, part struct<a:int,b:array<string>>, price decimal(5,2))
        partitioned by (bucket(4, id), month(at)) location 's3://{DATA}/stock/'
        tblproperties ('table_type' = 'ICEBERG')""",
    )
    assert glue.get_table(DatabaseName=DATABASE, Name="stock")["Table"]["Parameters"]["table_type"].upper() == "ICEBERG"
    values = "(1, timestamp '2026-01-01 00:00:00', row(1, array['x']), 1.5), (2, null, null, 2)"
    done(athena, f"insert into stock values {values}")
    done(athena, f"merge into stock t using {shops} s on t.id = s.id when matched then update set price = s.price")
    done(athena, "update stock set at = timestamp '2026-02-01 00:00:00' where id = 2")
    done(athena, "alter table stock add columns (note string)")
    done(athena, "delete from stock where id = 1")
    assert rows(athena, "select id, at, part, price, note from stock") == [
        ["2", "2026-02-01 00:00:00.000000", None, "2.25", None]
    ]
    snapshots = rows(athena, 'select snapshot_id from "stock$snapshots" order by committed_at')
    first = f"select count(*) from stock for version as of {snapshots[1][0]}"
    assert rows(athena, first) == [["2"]]
    names = [row[0].split()[0] for row in rows(athena, "describe stock") if row[0]]
    assert names == ["id", "at", "part", "price", "note"]
    done(athena, "optimize stock rewrite data using bin_pack")
    refused = reason(run(athena, "optimize stock rewrite data using bin_pack where id > 0"))
    assert refused == "NOT_SUPPORTED: OPTIMIZE takes WHERE on partition columns only in the local home"
    done(athena, "vacuum stock")
    metadata = athena.get_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=DATABASE, TableName="stock")
    assert metadata["TableMetadata"]["Columns"][2] == {"Name": "part", "Type": "struct<a:int,b:array<string>>"}
    done(athena, "drop table stock")
    assert (
        s3.list_objects_v2(Bucket=DATA, Prefix="stock/data/")["KeyCount"] == 0
    )  # Athena deletes an Iceberg table's data


def test_unload(athena: Any, shops: str, s3: Any) -> None:
    target = f"s3://{RESULTS}/unloaded/{uuid.uuid4()}/"
    sql = (
        f"UNLOAD (SELECT id, name, price FROM {shops}) TO '{target}' WITH (format = 'PARQUET', compression = 'SNAPPY')"
    )
    execution = done(athena, sql)
    assert (execution["StatementType"], execution["SubstatementType"]) == ("DML", "UNLOAD")
    files = content(s3, execution["Statistics"]["DataManifestLocation"]).decode().split("\n")
    assert all(path.startswith(target) for path in files)
    read = [pq.read_table(io.BytesIO(content(s3, path))) for path in files]
    assert sorted(pa.concat_tables(read)["id"].to_pylist()) == [1, 2]
    assert "HIVE_PATH_ALREADY_EXISTS" in reason(run(athena, sql))


def test_the_catalog_through_athena(athena: Any, shops: str) -> None:
    catalog = {"CatalogName": "AwsDataCatalog"}
    assert athena.list_data_catalogs()["DataCatalogsSummary"][0]["CatalogName"] == "AwsDataCatalog"
    assert DATABASE in [found["Name"] for found in athena.list_databases(**catalog)["DatabaseList"]]
    assert athena.get_database(DatabaseName=DATABASE, **catalog)["Database"]["Name"] == DATABASE
    names = [
        table["Name"] for table in athena.list_table_metadata(DatabaseName=DATABASE, **catalog)["TableMetadataList"]
    ]
    assert shops in names
    with pytest.raises(ClientError, match="MetadataException"):
        athena.get_table_metadata(DatabaseName=DATABASE, TableName="nope", **catalog)
    assert len(athena.list_engine_versions()["EngineVersions"]) == 2
