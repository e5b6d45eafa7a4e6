"""Athena on a real Trino, as its clients see it: boto3, awswrangler in its three modes, PyAthena, Airflow."""

from __future__ import annotations

import datetime
import io
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.settings import REGION, ROOT
from tests.support.athena_home import DATA, DATABASE, OUTPUT, RESULTS, WORKGROUP, AthenaHome, allow, done, rows, run

pytestmark = pytest.mark.trino
SEEN = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000)  # noqa: DTZ001 (Athena's timestamps have no zone)


@pytest.fixture(scope="module")
def session(trino_home: AthenaHome) -> boto3.Session:
    """An analyst who may write to one database too."""
    role = trino_home.lake.role("analyst-with-scratch", allow("athena:*", "glue:*", "s3:*"))
    return trino_home.session(role)


@pytest.fixture(scope="module")
def athena(session: boto3.Session) -> Any:
    return session.client("athena")


@pytest.fixture(scope="module")
def films(trino_home: AthenaHome) -> str:
    """A Parquet table with one column of each kind."""
    table = pa.table(
        {
            "film_id": pa.array([1, 2, None], pa.int64()),
            "title": ["ACADEMY DINOSAUR", 'A "QUOTED", TITLE\nIN TWO LINES', ""],
            "rate": pa.array([Decimal("0.99"), Decimal("4.99"), None], pa.decimal128(4, 2)),
            "score": pa.array([1.5, 1e10, None], pa.float64()),
            "seen": pa.array([SEEN, None, None], pa.timestamp("ms")),
            "day": pa.array([datetime.date(2026, 1, 2), None, None], pa.date32()),
            "good": pa.array([True, False, None]),
            "tags": pa.array([["a", "b"], [], None], pa.list_(pa.string())),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    trino_home.root("s3").put_object(Bucket=DATA, Key="films/a.parquet", Body=buffer.getvalue())
    kinds = {
        "film_id": "bigint", "title": "string", "rate": "decimal(4,2)", "score": "double", "seen": "timestamp",
        "day": "date", "good": "boolean", "tags": "array<string>",
    }  # fmt: skip
    trino_home.root("glue").create_table(
        DatabaseName=DATABASE,
        TableInput={
            "Name": "films",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
            "StorageDescriptor": {
                "Columns": [{"Name": name, "Type": kind} for name, kind in kinds.items()],
                "Location": f"s3://{DATA}/films/",
                "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
            },
        },
    )
    return "films"


def test_rows_types_and_result_files(athena: Any, trino_home: AthenaHome, films: str) -> None:
    execution = done(athena, f"select * from {films} order by film_id nulls last;")
    reply = athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    columns = reply["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [(column["Name"], column["Type"]) for column in columns] == [
        ("film_id", "bigint"),
        ("title", "varchar"),
        ("rate", "decimal"),
        ("score", "double"),
        ("seen", "timestamp"),
        ("day", "date"),
        ("good", "boolean"),
        ("tags", "array"),
    ]
    assert (columns[2]["Precision"], columns[2]["Scale"]) == (4, 2)
    cells = [[cell.get("VarCharValue") for cell in row["Data"]] for row in reply["ResultSet"]["Rows"]]
    assert cells == [
        ["film_id", "title", "rate", "score", "seen", "day", "good", "tags"],
        ["1", "ACADEMY DINOSAUR", "0.99", "1.5", "2026-01-02 03:04:05.678", "2026-01-02", "true", "[a, b]"],
        ["2", 'A "QUOTED", TITLE\nIN TWO LINES', "4.99", "1.0E10", None, None, "false", "[]"],
        [None, "", None, None, None, None, None, None],
    ]
    execution_id = execution["QueryExecutionId"]
    assert execution["ResultConfiguration"]["OutputLocation"] == f"{OUTPUT}{execution_id}.csv"
    assert execution["StatementType"] == "DML"
    assert execution["EngineVersion"]["EffectiveEngineVersion"] == "Athena engine version 3"
    s3 = trino_home.root("s3")
    stored = s3.get_object(Bucket=RESULTS, Key=f"athena/{execution_id}.csv")
    assert stored["ServerSideEncryption"] == "AES256"
    lines = stored["Body"].read().decode()
    assert lines.startswith('"film_id","title","rate","score","seen","day","good","tags"\n"1","ACADEMY DINOSAUR",')
    assert lines.endswith('\n,"",,,,,,\n')
    metadata = s3.get_object(Bucket=RESULTS, Key=f"athena/{execution_id}.csv.metadata")["Body"].read()
    assert b"film_id" in metadata
    assert b"decimal" in metadata


def test_results_come_in_pages(athena: Any) -> None:
    sql = "select n, repeat('ä', 400) from unnest(sequence(1, 4000)) as t(n) order by n"
    execution_id = done(athena, sql)["QueryExecutionId"]
    first = athena.get_query_results(QueryExecutionId=execution_id, MaxResults=3)
    assert [row["Data"][0]["VarCharValue"] for row in first["ResultSet"]["Rows"]] == ["n", "1", "2"]
    second = athena.get_query_results(QueryExecutionId=execution_id, MaxResults=3, NextToken=first["NextToken"])
    assert [row["Data"][0]["VarCharValue"] for row in second["ResultSet"]["Rows"]] == ["3", "4", "5"]
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution_id)
    numbers = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert numbers == ["n", *map(str, range(1, 4001))]


# awswrangler


@pytest.fixture
def wrangler(trino_home: AthenaHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """awswrangler with the home's endpoints."""
    import awswrangler as wr

    settings = trino_home.lake.settings
    for name, url in {
        "s3": settings.emulator_url,
        "sts": settings.server_url,
        "athena": settings.server_url,
        "glue": settings.server_url,
    }.items():
        monkeypatch.setattr(wr.config, f"{name}_endpoint_url", url)
    yield wr
    wr.config.reset()


@pytest.mark.parametrize("mode", ["plain", "ctas", "unload"])
def test_awswrangler_reads(wrangler: Any, session: boto3.Session, films: str, mode: str) -> None:
    frame = wrangler.athena.read_sql_query(
        f"select film_id, title, rate, seen, day, good from {films} order by film_id nulls last",
        database=DATABASE,
        workgroup=WORKGROUP,
        ctas_approach=mode == "ctas",
        unload_approach=mode == "unload",
        s3_output=f"s3://{RESULTS}/unload/{uuid.uuid4()}/" if mode == "unload" else None,
        boto3_session=session,
    )
    metadata = frame.query_metadata
    frame = frame.sort_values("film_id")  # CTAS and UNLOAD write several files, whose order is nobody's promise
    assert frame["film_id"].tolist()[:2] == [1, 2]
    assert frame["title"].tolist()[0] == "ACADEMY DINOSAUR"
    assert frame["rate"].tolist()[:2] == [Decimal("0.99"), Decimal("4.99")]
    assert frame["seen"].tolist()[0] == SEEN
    assert frame["day"].tolist()[0] == datetime.date(2026, 1, 2)
    assert frame["good"].tolist()[:2] == [True, False]
    assert metadata["Status"]["State"] == "SUCCEEDED"
    tables = session.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]
    assert not [table["Name"] for table in tables if table["Name"].startswith("temp_table")]


@pytest.mark.parametrize("mode", ["plain", "ctas", "unload"])
def test_awswrangler_reads_nothing(wrangler: Any, session: boto3.Session, films: str, mode: str) -> None:
    options: dict[str, Any] = {"ctas_approach": mode == "ctas", "unload_approach": mode == "unload"}
    if mode == "unload":
        options["s3_output"] = f"s3://{RESULTS}/unload/{uuid.uuid4()}/"
    read = wrangler.athena.read_sql_query
    arguments = {"database": DATABASE, "workgroup": WORKGROUP, "boto3_session": session, **options}
    if mode == "unload":  # so does AWS: UNLOAD of nothing writes no file
        with pytest.raises(wrangler.exceptions.EmptyDataFrame):
            read(f"select film_id, title from {films} where film_id = 99", **arguments)
        return
    frame = read(f"select film_id, title from {films} where film_id = 99", **arguments)
    assert frame.empty
    assert list(frame.columns) == ["film_id", "title"]


def test_awswrangler_parameters_and_descriptions(wrangler: Any, session: boto3.Session, films: str) -> None:
    arguments = {"database": DATABASE, "workgroup": WORKGROUP, "boto3_session": session}
    frame = wrangler.athena.read_sql_query(
        f"select title from {films} where title = ? and film_id = ?",
        params=["ACADEMY DINOSAUR", "1"],
        paramstyle="qmark",
        ctas_approach=False,
        **arguments,
    )
    assert frame["title"].tolist() == ["ACADEMY DINOSAUR"]
    described = wrangler.athena.describe_table(table=films, **arguments)
    assert described["Column Name"].tolist()[:3] == ["film_id", "title", "rate"]
    assert described["Type"].tolist()[:3] == ["bigint", "string", "decimal(4,2)"]
    assert "CREATE EXTERNAL TABLE" in wrangler.athena.show_create_table(table=films, **arguments)
    made = wrangler.athena.create_ctas_table(
        sql=f"select film_id, day from {films}", ctas_table="films_by_ctas", wait=True, **arguments
    )
    assert made["ctas_table"] == "films_by_ctas"
    assert wrangler.catalog.get_table_types(DATABASE, "films_by_ctas", boto3_session=session) == {
        "film_id": "bigint",
        "day": "date",
    }


def test_awswrangler_reads_its_own_table(wrangler: Any, session: boto3.Session) -> None:
    import pandas as pd

    frame = pd.DataFrame({"id": [1, 2, 3], "name": ["a", "b", None], "month": ["2026-01", "2026-01", "2026-02"]})
    wrangler.s3.to_parquet(
        frame,
        path=f"s3://{DATA}/wrangled/",
        dataset=True,
        database=DATABASE,
        table="wrangled",
        partition_cols=["month"],
        boto3_session=session,
    )
    found = wrangler.athena.read_sql_query(
        "select month, count(*) n from wrangled group by month order by month",
        database=DATABASE,
        workgroup=WORKGROUP,
        ctas_approach=False,
        boto3_session=session,
    )
    assert found.values.tolist() == [["2026-01", 2], ["2026-02", 1]]


# PyAthena


@pytest.fixture
def connection(trino_home: AthenaHome, session: boto3.Session) -> Iterator[Any]:
    from pyathena import connect

    with connect(
        session=session, work_group=WORKGROUP, schema_name=DATABASE, region_name=REGION, poll_interval=0.05
    ) as made:
        yield made


def test_pyathena(connection: Any, films: str) -> None:
    cursor = connection.cursor()
    cursor.execute(f"select film_id, rate, seen, good, tags from {films} order by film_id nulls last")
    assert cursor.fetchone() == (1, Decimal("0.99"), SEEN, True, ["a", "b"])
    assert [column[:2] for column in cursor.description][:2] == [("film_id", "bigint"), ("rate", "decimal")]
    found = cursor.execute(f"select title from {films} where film_id = %(id)d", {"id": 2}).fetchall()
    assert found == [('A "QUOTED", TITLE\nIN TWO LINES',)]
    assert ("films",) in cursor.execute("show tables").fetchall()
    parameters = ["'ACADEMY DINOSAUR'"]
    sql = f"select film_id from {films} where title = ?"
    assert cursor.execute(sql, parameters, paramstyle="qmark").fetchall() == [(1,)]
    description = cursor.execute(f"describe {films}").fetchall()
    assert description[0][0].split() == ["film_id", "bigint"]


def test_pyathena_reports_failures(connection: Any) -> None:
    from pyathena.error import DatabaseError, OperationalError

    with pytest.raises(OperationalError, match="TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.shop.nope'"):
        connection.cursor().execute("select * from nope")
    with pytest.raises(DatabaseError, match="mismatched input 'selec'"):
        connection.cursor().execute("selec 1")


# Airflow


@pytest.fixture
def airflow_connection(trino_home: AthenaHome, session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """aws_default at the home, under the session's keys."""
    settings = trino_home.lake.settings
    credentials = session.get_credentials()
    assert credentials is not None
    frozen = credentials.get_frozen_credentials()
    monkeypatch.setenv("AWS_ENDPOINT_URL", settings.emulator_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", settings.server_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", settings.server_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", str(frozen.access_key))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", str(frozen.secret_key))
    monkeypatch.setenv("AWS_SESSION_TOKEN", str(frozen.token))


def test_airflow_operator_and_sensor(airflow_connection: None, athena: Any, films: str) -> None:
    from airflow.providers.amazon.aws.operators.athena import AthenaOperator
    from airflow.providers.amazon.aws.sensors.athena import AthenaSensor

    ask = AthenaOperator(
        task_id="ask",
        query=f"select count(*) from {films}",
        database=DATABASE,
        output_location=OUTPUT,
        workgroup=WORKGROUP,
        sleep_time=0,
        deferrable=False,
    )
    execution_id = ask.execute({})
    assert execution_id is not None
    reply = athena.get_query_results(QueryExecutionId=execution_id)
    assert reply["ResultSet"]["Rows"][1]["Data"][0]["VarCharValue"] == "3"
    wait = AthenaSensor(task_id="wait", query_execution_id=execution_id, sleep_time=0)
    assert wait.poke({})


def test_airflow_operator_fails_with_the_reason(airflow_connection: None, athena: Any) -> None:
    from airflow.providers.amazon.aws.operators.athena import AthenaOperator

    ask = AthenaOperator(
        task_id="ask",
        query="select nope from films",
        database=DATABASE,
        output_location=OUTPUT,
        workgroup=WORKGROUP,
        sleep_time=0,
        deferrable=False,
    )
    with pytest.raises(Exception, match="COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved"):
        ask.execute({})


def test_saved_queries_run(athena: Any) -> None:
    """The two statements of the template, on a small table of their shape: an unknown film counts 0 in its line."""
    folder = ROOT / "include" / "sql" / "athena"
    done(athena, "create database curated")
    values = "('Action', 'Utah'), ('Action', 'Ohio'), ('Comedy', 'Utah'), (null, 'Utah')"
    location = f"s3://{DATA}/streaming_films/"
    properties = f"table_type = 'ICEBERG', is_external = false, location = '{location}'"
    sql = f"create table curated.streaming_films with ({properties}) as "
    done(athena, sql + f"select * from (values {values}) as t (category_name, state)")
    context = {"Database": "curated"}
    categories = (folder / "overall_top_streaming_categories.sql").read_text()
    assert rows(athena, categories, QueryExecutionContext=context) == [["Action", "2"], ["Comedy", "1"], [None, "0"]]
    states = (folder / "overall_top_streaming_states.sql").read_text()
    assert rows(athena, states, QueryExecutionContext=context) == [["Utah", "3"], ["Ohio", "1"]]
    assert run(athena, states, QueryExecutionContext={"Database": "nowhere"})["Status"]["State"] == "FAILED"
