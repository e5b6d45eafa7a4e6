"""Athena on a real Trino as its clients see it: boto3, PyAthena, Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pytest

from local.settings import REGION, ROOT
from tests.local.aws.athena.conftest import SEEN
from tests.support.athena_home import DATA, DATABASE, OUTPUT, RESULTS, WORKGROUP, AthenaHome, done, rows, run

pytestmark = pytest.mark.trino


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
    """Airflow's connection aws_default calls the home with the session's keys."""
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


@pytest.mark.usefixtures("airflow_connection")
def test_airflow_operator_and_sensor(athena: Any, films: str) -> None:
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


@pytest.mark.usefixtures("airflow_connection", "films")
def test_airflow_operator_fails_with_the_reason(athena: Any) -> None:
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
    """The two saved queries of the template on a small table: rows without a category are listed with the count 0."""
    folder = ROOT / "include" / "sql" / "athena" / "saved"
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
