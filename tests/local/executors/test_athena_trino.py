"""Athena on a real Trino: statements, states, the cut-off, rights, and what a restart leaves."""

from __future__ import annotations

import io
import uuid
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from botocore.exceptions import ClientError

from local.executors.athena.task import CANCELLED_BY_USER, OVER_THE_LIMIT
from local.settings import ACCOUNT, REGION
from tests.athena_home import DATA, DATABASE, OUTPUT, RESULTS, WORKGROUP, AthenaHome, allow, done, finished, rows, run
from tests.services import wait_until

pytestmark = pytest.mark.trino
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
SLOW = (
    "select count(*) from unnest(sequence(1, 9999)) a(x), unnest(sequence(1, 9999)) b(y), unnest(sequence(1, 99)) c(z)"
)


@pytest.fixture(scope="module")
def session(trino_home: AthenaHome) -> boto3.Session:
    return trino_home.session(trino_home.lake.role("engineer", allow("athena:*", "glue:*", "s3:*")))


@pytest.fixture(scope="module")
def athena(session: boto3.Session) -> Any:
    return session.client("athena")


@pytest.fixture(scope="module")
def glue(session: boto3.Session) -> Any:
    return session.client("glue")


@pytest.fixture(scope="module")
def s3(trino_home: AthenaHome) -> Any:
    return trino_home.root("s3")


@pytest.fixture(scope="module")
def shops(athena: Any, s3: Any) -> str:
    """A CSV table of two rows, made by Hive's DDL."""
    s3.put_object(Bucket=DATA, Key="shops/a.csv", Body=b"id,name,price\n1,one,1.50\n2,,2.25\n")
    ddl = f"""
        CREATE EXTERNAL TABLE IF NOT EXISTS `shops` (id bigint, `name` string COMMENT 'it\\'s', price decimal(5,2))
        ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' STORED AS TEXTFILE LOCATION 's3://{DATA}/shops/'
        TBLPROPERTIES ('skip.header.line.count'='1')"""
    execution = done(athena, ddl)
    assert (execution["StatementType"], execution["SubstatementType"]) == ("DDL", "CREATE_TABLE")
    assert execution["ResultConfiguration"]["OutputLocation"].endswith(f"{execution['QueryExecutionId']}.txt")
    return "shops"


def content(s3: Any, url: str) -> bytes:
    """An object by its URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def in_trino(home: AthenaHome, sql: str) -> bool:
    """Whether Trino runs this very statement now."""
    url = f"http://127.0.0.1:{home.lake.settings.trino_port}/v1/query?state=RUNNING"
    queries = requests.get(url, headers={"X-Trino-User": "test"}, timeout=10).json()
    return sql.strip() in [query["query"].strip() for query in queries]


def reason(execution: dict[str, Any]) -> str:
    return str(execution["Status"]["StateChangeReason"])


# Hive's half


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


# Trino's half


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


def test_parameters_and_prepared_statements(athena: Any, shops: str) -> None:
    by_name = f"select id from {shops} where name = ?"
    assert rows(athena, by_name, ExecutionParameters=["'one'"]) == [["1"]]
    assert rows(athena, by_name, ExecutionParameters=["one"]) == [["1"]]
    assert rows(athena, by_name, ExecutionParameters=["x' or 'a' = 'a"]) == []
    done(athena, f"prepare by_id from select name from {shops} where id = ? limit ?")
    assert rows(athena, "execute by_id using 1, 5") == [["one"]]
    assert rows(athena, "execute by_id", ExecutionParameters=["2", "5"]) == [[""]]
    found = athena.get_prepared_statement(WorkGroup=WORKGROUP, StatementName="by_id")["PreparedStatement"]
    assert found["QueryStatement"] == f"select name from {shops} where id = ? limit ?"
    with pytest.raises(ClientError, match="expected 2 but found 1"):
        run(athena, "execute by_id using 1")
    done(athena, "deallocate prepare by_id")
    with pytest.raises(ClientError, match="by_id was not found"):
        run(athena, "execute by_id using 1, 5")


# errors


def test_statements_that_athena_does_not_take(athena: Any, shops: str) -> None:
    for sql, message in {
        "selec 1": "line 1:1: mismatched input 'selec'. Expecting",
        f"select *\nfrom {shops}\nwhere": "line 3:6: mismatched input '<EOF>'",
        "grant select on shops to me": "Queries of this type are not supported",
        "call system.runtime.kill_query('x')": "Queries of this type are not supported",
        "select 1; select 2": "Only one sql statement is allowed",
        "create table t (a int) location 's3://x/y'": "External keyword required for table type HIVE",
        "create external table t (a int) stored as pickle location 's3://x/y'": "Unrecognized file format",
        f"create table t with (external_location = 's3://{DATA}/t/') as select 1 a": "enforces a centralized output",
        "create table t with (colour = 'red') as select 1 a": "property is not supported: colour",
    }.items():
        with pytest.raises(ClientError, match="InvalidRequestException") as caught:
            run(athena, sql)
        assert message in str(caught.value), sql
        assert caught.value.response["AthenaErrorCode"] in ("MALFORMED_QUERY", "INVALID_INPUT")


def test_failed_queries_say_why(athena: Any, shops: str) -> None:
    for sql, message in {
        "select nope from shops": "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved or requester is",
        "select * from nope": "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.shop.nope' does not exist",
        "select 1 / 0": "DIVISION_BY_ZERO: Division by zero",
        "describe nope": "FAILED: SemanticException [Error 10001]: Table not found shop.nope",
        "select * from system.runtime.nodes": "CATALOG_NOT_FOUND: Catalog 'system' does not exist",
        "vacuum shops": "NOT_SUPPORTED: VACUUM needs an Iceberg table",
    }.items():
        execution = run(athena, sql)
        assert execution["Status"]["State"] == "FAILED"
        assert reason(execution).startswith(message), reason(execution)
        error = execution["Status"]["AthenaError"]
        assert (error["ErrorCategory"], error["Retryable"], error["ErrorMessage"]) == (2, False, reason(execution))
        with pytest.raises(ClientError, match="Final query state: FAILED"):
            athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])


# states


def test_states_statistics_and_history(athena: Any) -> None:
    token = str(uuid.uuid4())
    options = {"QueryExecutionContext": {"Database": DATABASE, "Catalog": "AwsDataCatalog"}, "WorkGroup": WORKGROUP}
    arguments = {"QueryString": "select 7", "ClientRequestToken": token, **options}
    first = athena.start_query_execution(**arguments)["QueryExecutionId"]
    assert athena.start_query_execution(**arguments)["QueryExecutionId"] == first
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        athena.start_query_execution(**{**arguments, "QueryString": "select 8"})
    execution = finished(athena, first)
    statistics = execution["Statistics"]
    assert statistics["DataScannedInBytes"] == 0
    assert 0 < statistics["EngineExecutionTimeInMillis"] <= statistics["TotalExecutionTimeInMillis"]
    assert statistics["ResultReuseInformation"] == {"ReusedPreviousResult": False}
    assert execution["Status"]["SubmissionDateTime"] <= execution["Status"]["CompletionDateTime"]
    listed = athena.list_query_executions(WorkGroup=WORKGROUP, MaxResults=2)
    assert listed["QueryExecutionIds"][0] == first
    pages = athena.get_paginator("list_query_executions").paginate(
        WorkGroup=WORKGROUP, PaginationConfig={"PageSize": 3}
    )
    everything = [found for page in pages for found in page["QueryExecutionIds"]]
    assert len(everything) == len(set(everything))
    batch = athena.batch_get_query_execution(QueryExecutionIds=[first, "missing"])
    assert [found["QueryExecutionId"] for found in batch["QueryExecutions"]] == [first]
    assert [found["QueryExecutionId"] for found in batch["UnprocessedQueryExecutionIds"]] == ["missing"]
    runtime = athena.get_query_runtime_statistics(QueryExecutionId=first)["QueryRuntimeStatistics"]
    assert runtime["Rows"]["OutputRows"] == 1


def test_stop(athena: Any) -> None:
    started = [
        athena.start_query_execution(QueryString=SLOW, WorkGroup=WORKGROUP)["QueryExecutionId"] for _ in range(6)
    ]  # four run, two wait
    for execution_id in started:
        athena.stop_query_execution(QueryExecutionId=execution_id)
    for execution_id in started:
        status = finished(athena, execution_id, 30)["Status"]
        assert (status["State"], status["StateChangeReason"]) == ("CANCELLED", CANCELLED_BY_USER)
    athena.stop_query_execution(QueryExecutionId=started[0])


# the cut-off


@pytest.fixture(scope="module")
def heavy(s3: Any, glue: Any) -> dict[str, int]:
    """A Parquet table of 24 MB in three files; the bytes of its column ``noise``."""
    random = np.random.default_rng(7)
    column_bytes = 0
    for number in range(3):
        buffer = io.BytesIO()
        table = pa.table({"id": pa.array(range(1_000_000)), "noise": pa.array(random.random(1_000_000))})
        pq.write_table(table, buffer, compression="none", use_dictionary=False)
        metadata = pq.read_metadata(buffer)
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        column_bytes += sum(group.column(1).total_compressed_size for group in groups)
        s3.put_object(Bucket=DATA, Key=f"heavy/{number}.parquet", Body=buffer.getvalue())
    glue.create_table(
        DatabaseName=DATABASE,
        TableInput={
            "Name": "heavy",
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": {
                "Columns": [{"Name": "id", "Type": "bigint"}, {"Name": "noise", "Type": "double"}],
                "Location": f"s3://{DATA}/heavy/",
                "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
            },
        },
    )
    return {"noise": column_bytes}


def test_bytes_scanned_are_the_column_chunks(athena: Any, heavy: dict[str, int]) -> None:
    athena.update_work_group(WorkGroup=WORKGROUP, ConfigurationUpdates={"RemoveBytesScannedCutoffPerQuery": True})
    execution = done(athena, "select max(noise) from heavy where id >= 0")
    both = execution["Statistics"]["DataScannedInBytes"]
    alone = done(athena, "select max(noise) from heavy")["Statistics"]["DataScannedInBytes"]
    assert alone == pytest.approx(heavy["noise"], rel=0.002)
    assert both > 1.9 * alone
    assert done(athena, "select count(*) from heavy")["Statistics"]["DataScannedInBytes"] == 0


def test_bytes_scanned_in_small_files(athena: Any, shops: str, s3: Any) -> None:
    """Trino counts a file below 16,384 bytes whole, and its chunks once more."""
    location = f"s3://{DATA}/small_ice/"
    values = "(values (1, 'a'), (2, 'b')) as t (id, name)"
    done(athena, f"create table small as select * from {values}")
    properties = f"table_type = 'ICEBERG', is_external = false, location = '{location}'"
    done(athena, f"create table small_ice with ({properties}) as select * from {values}")
    done(athena, "insert into small_ice values (3, 'c')")
    for table in ("small", "small_ice"):
        found = s3.list_objects_v2(Bucket=DATA, Prefix="small_ice/data/")["Contents"]
        if table == "small":
            path = rows(athena, 'select "$path" from small limit 1')[0][0]
            found = [{"Key": str(path).partition(f"{RESULTS}/")[2]}]
        bucket = RESULTS if table == "small" else DATA
        metadata = [pq.read_metadata(io.BytesIO(content(s3, f"s3://{bucket}/{item['Key']}"))) for item in found]
        chunks = sum(file.row_group(0).column(1).total_compressed_size for file in metadata)
        assert done(athena, f"select max(name) from {table}")["Statistics"]["DataScannedInBytes"] == chunks > 0
        assert done(athena, f"select count(*) from {table}")["Statistics"]["DataScannedInBytes"] == 0


def test_the_cutoff_cancels(athena: Any, heavy: dict[str, int], glue: Any, s3: Any) -> None:
    athena.update_work_group(WorkGroup=WORKGROUP, ConfigurationUpdates={"BytesScannedCutoffPerQuery": 10_000_000})
    execution = run(athena, "select max(noise) from heavy")
    assert execution["Status"]["State"] == "CANCELLED"
    assert reason(execution) == OVER_THE_LIMIT == "Bytes scanned limit was exceeded"
    assert execution["Statistics"]["DataScannedInBytes"] > 10_000_000
    assert "AthenaError" not in execution["Status"]
    copy = run(athena, "create table heavy_copy as select * from heavy")
    assert (copy["Status"]["State"], reason(copy)) == ("CANCELLED", OVER_THE_LIMIT)
    assert "heavy_copy" not in [table["Name"] for table in glue.get_tables(DatabaseName=DATABASE)["TableList"]]
    assert s3.list_objects_v2(Bucket=RESULTS, Prefix=f"athena/tables/{copy['QueryExecutionId']}/")["KeyCount"] == 0


# workgroups and encryption


def test_workgroup_without_enforcement(trino_home: AthenaHome, athena: Any, s3: Any) -> None:
    kms = trino_home.root("kms").create_key()["KeyMetadata"]["Arn"]
    athena.create_work_group(Name="free", Configuration={"EnforceWorkGroupConfiguration": False})
    with pytest.raises(ClientError, match="No output location provided"):
        run(athena, "select 1", WorkGroup="free")
    encryption = {"EncryptionOption": "SSE_KMS", "KmsKey": kms}
    wanted = {"OutputLocation": f"s3://{RESULTS}/mine", "EncryptionConfiguration": encryption}
    execution = done(athena, "select 1", WorkGroup="free", ResultConfiguration=wanted)
    assert (
        execution["ResultConfiguration"]["OutputLocation"] == f"s3://{RESULTS}/mine/{execution['QueryExecutionId']}.csv"
    )
    stored = s3.head_object(Bucket=RESULTS, Key=f"mine/{execution['QueryExecutionId']}.csv")
    assert (stored["ServerSideEncryption"], stored["SSEKMSKeyId"]) == ("aws:kms", kms)
    external = f"create table freely with (external_location = 's3://{DATA}/freely/') as select 1 a"
    done(athena, external, WorkGroup="free", ResultConfiguration=wanted)
    assert s3.list_objects_v2(Bucket=DATA, Prefix="freely/")["KeyCount"] == 1
    enforced = done(athena, "select 1", ResultConfiguration=wanted)  # the other workgroup overrides its client
    assert enforced["ResultConfiguration"]["OutputLocation"].startswith(OUTPUT)
    with pytest.raises(ClientError, match="not empty"):
        athena.delete_work_group(WorkGroup="free")
    athena.delete_work_group(WorkGroup="free", RecursiveDeleteOption=True)
    with pytest.raises(ClientError, match="WorkGroup free is not found"):
        run(athena, "select 1", WorkGroup="free")


def test_named_queries(athena: Any) -> None:
    arguments = {
        "Name": "Q",
        "Database": DATABASE,
        "WorkGroup": WORKGROUP,
        "Description": "d",
        "QueryString": "select 1",
    }
    query_id = athena.create_named_query(**arguments)["NamedQueryId"]
    assert query_id in athena.list_named_queries(WorkGroup=WORKGROUP)["NamedQueryIds"]
    assert athena.get_named_query(NamedQueryId=query_id)["NamedQuery"] == {**arguments, "NamedQueryId": query_id}
    athena.update_named_query(NamedQueryId=query_id, Name="R", QueryString="select 2")
    found = athena.batch_get_named_query(NamedQueryIds=[query_id, "missing"])
    assert [query["Name"] for query in found["NamedQueries"]] == ["R"]
    assert len(found["UnprocessedNamedQueryIds"]) == 1
    athena.delete_named_query(NamedQueryId=query_id)
    with pytest.raises(ClientError, match="was not found"):
        athena.get_named_query(NamedQueryId=query_id)


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


# rights


def test_rights_of_the_caller(trino_home: AthenaHome, shops: str) -> None:
    """Each right in turn: without it the query is refused in AWS's words, with all of them it runs."""
    workgroup = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{WORKGROUP}"
    verbs = ("StartQueryExecution", "GetQueryExecution", "GetQueryResults")
    rights = {
        "athena": allow(*(f"athena:{verb}" for verb in verbs), on=workgroup),
        "results": allow("s3:PutObject", "s3:GetObject", on=f"arn:aws:s3:::{RESULTS}/athena/*"),
        "table": allow(
            "glue:GetTable", on=[f"{GLUE}:catalog", f"{GLUE}:database/{DATABASE}", f"{GLUE}:table/{DATABASE}/{shops}"]
        ),
        "data": allow("s3:GetObject", on=f"arn:aws:s3:::{DATA}/shops/*"),
    }
    messages = {
        "results": "Access denied when writing output to url: s3://",
        "table": "Insufficient permissions to execute the query. User: ",
        "data": "PERMISSION_DENIED: User: ",
    }
    caller = trino_home.lake.role("narrow", *rights.values())
    athena = trino_home.session(caller).client("athena")
    watcher = trino_home.session(trino_home.lake.role("watcher", allow("athena:*"))).client("athena")
    sql = f"select count(*) from {shops}"
    assert rows(athena, sql) == [["2"]]
    for name, message in messages.items():
        role = f"narrow-but-{name}"
        arn = trino_home.lake.role(role, *(right for key, right in rights.items() if key != name))
        execution = run(trino_home.session(arn).client("athena"), sql)
        assert execution["Status"]["State"] == "FAILED"
        assert reason(execution).startswith(message), reason(execution)
        assert name == "results" or f"assumed-role/{role}/" in reason(execution)
    nobody = trino_home.session(trino_home.lake.role("nobody", allow("s3:ListAllMyBuckets"))).client("athena")
    with pytest.raises(ClientError, match="AccessDeniedException.*athena:StartQueryExecution"):
        run(nobody, sql)
    finished_id = watcher.list_query_executions(WorkGroup=WORKGROUP)["QueryExecutionIds"][0]
    with pytest.raises(ClientError, match="AccessDenied.*athena:GetQueryExecution"):
        nobody.get_query_execution(QueryExecutionId=finished_id)
    # a view is a table of its own
    engineer = trino_home.session(trino_home.lake.role("engineer", allow("athena:*", "glue:*", "s3:*")))
    done(engineer.client("athena"), f"create or replace view narrow_view as select name from {shops}")
    execution = run(athena, "with a as (select 1 as n) select * from a, narrow_view")
    assert f"glue:GetTable on resource: {GLUE}:table/{DATABASE}/narrow_view" in reason(execution)
    # neither writing nor the catalog is open to one who may only read
    for statement in (
        "create table mine as select 1 a",
        f"drop table {shops}",
        f"alter table {shops} set tblproperties ('a' = 'b')",
        "create view mine as select 1 a",
        "show tables",
        "create database mine",
        f"create external table mine (a int) location 's3://{DATA}/mine/'",
        f"unload (select 1 a) to 's3://{DATA}/mine/' with (format = 'PARQUET')",
    ):
        execution = run(athena, statement)
        assert execution["Status"]["State"] == "FAILED", statement
        assert "is not authorized to perform" in reason(execution), reason(execution)


# restarts


def test_interrupted_queries_fail_and_the_rest_is_kept(trino_home: AthenaHome, athena: Any) -> None:
    """A second executor on a copy of the first one's file sees what a new server would after a kill."""
    import shutil

    from local.executors.athena.runs import Runs
    from local.executors.athena.store import Store

    data = trino_home.lake.settings.data / "athena"
    kept = done(athena, "select 1")["QueryExecutionId"]
    running = athena.start_query_execution(QueryString=SLOW, WorkGroup=WORKGROUP)["QueryExecutionId"]
    wait_until(lambda: in_trino(trino_home, SLOW), 30, "the query in Trino")
    copy = data / "copy"
    copy.mkdir()
    for file in data.glob("athena.sqlite*"):
        shutil.copy(file, copy / file.name)
    store = Store(copy / "athena.sqlite")
    Runs(trino_home.lake.server, store).start()
    interrupted = store.execution(running)
    assert interrupted is not None
    assert interrupted["Status"]["State"] == "FAILED"
    assert interrupted["Status"]["AthenaError"]["Retryable"] is True
    assert "restart" in interrupted["Status"]["StateChangeReason"]
    unharmed = store.execution(kept)
    assert unharmed is not None
    assert unharmed["Status"]["State"] == "SUCCEEDED"
    store.close()
    assert not in_trino(trino_home, SLOW)  # the new server stopped the old one's query
    assert finished(athena, running, 30)["Status"]["State"] == "FAILED"


def test_an_engine_that_is_down_fails_the_query(
    athena: Any, trino_home: AthenaHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    from local.executors.athena import engine

    monkeypatch.setattr(engine, "HOST", "127.0.0.9")
    execution = run(athena, "select 1")
    assert reason(execution).startswith("ENGINE_UNAVAILABLE: The query engine does not answer")
    error = execution["Status"]["AthenaError"]
    assert (error["ErrorCategory"], error["Retryable"]) == (1, True)


def test_trino_listens_on_this_machine_only(trino_home: AthenaHome) -> None:
    import psutil

    listening = [
        connection.laddr.ip
        for connection in psutil.Process(trino_home.trino.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert all(address.removeprefix("::ffff:") == "127.0.0.1" for address in listening)
