"""The whole lake as a newcomer gets it: the demo in a home of its own, then an independent recount.

The recount reads the raw landed objects and MySQL; it does not use the tables, Spark or Trino.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pymysql
import pytest

from datalake.names import Lake
from local.commands.airflow_api import AirflowApi
from local.engines.waiting import wait_until
from local.settings import ENVIRONMENT, SUFFIX
from tests.support.own_home import Home

if TYPE_CHECKING:
    from mypy_boto3_athena.type_defs import QueryExecutionStatusTypeDef
    from mypy_boto3_dms.type_defs import FilterTypeDef, ReplicationTaskTypeDef

pytestmark = pytest.mark.journey
LAKE = Lake(ENVIRONMENT, SUFFIX)


def films(exported: dict[str, str]) -> dict[int, str]:
    """The category of each film, from MySQL itself."""
    connection = pymysql.connect(
        host=exported["MYSQL_HOST"],
        port=int(exported["MYSQL_PORT"]),
        user=exported["MYSQL_USER"],
        password=exported["MYSQL_PASSWORD"],
        database=exported["MYSQL_DATABASE"],
        ssl={"ca": exported["MYSQL_SSL_CA"]},
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "select film_id, name from film join film_category using (film_id) join category using (category_id)"
        )
        return dict(cursor.fetchall())


def landed(session: boto3.Session) -> list[dict[str, Any]]:
    """Every landed event, parsed with json only."""
    s3 = session.client("s3")
    events = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=LAKE.landing_bucket, Prefix="streaming/"):
        for item in page.get("Contents", []):
            body = s3.get_object(Bucket=LAKE.landing_bucket, Key=item["Key"])["Body"].read()
            events += [json.loads(line) for line in body.split(b"\n") if line.strip()]
    return events


def query(session: boto3.Session, sql: str) -> list[list[str | None]]:
    """The rows of a query in the analysts' workgroup."""
    athena = session.client("athena")
    started = athena.start_query_execution(
        QueryString=sql, WorkGroup=LAKE.workgroup, QueryExecutionContext={"Database": "curated"}
    )["QueryExecutionId"]

    def status() -> QueryExecutionStatusTypeDef:
        return athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"]

    wait_until(lambda: status()["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"), 60, f"{sql} has not ended")
    assert status()["State"] == "SUCCEEDED", status()
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=started)
    rows = [[c.get("VarCharValue") for c in r["Data"]] for page in pages for r in page["ResultSet"]["Rows"]]
    return rows[1:]


def saved(session: boto3.Session, name: str) -> str:
    athena = session.client("athena")
    ids = athena.list_named_queries(WorkGroup=LAKE.workgroup)["NamedQueryIds"]
    queries = athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"]
    return str(next(q["QueryString"] for q in queries if q["Name"] == name))


def test_saved_queries_equal_a_recount_of_the_raw_events(
    home: Home, session: boto3.Session, exported: dict[str, str]
) -> None:
    events, category = landed(session), films(exported)
    assert len(category) == 1000
    by_category = Counter(category[e["film_id"]] for e in events)
    by_state = Counter(e["state"] for e in events)
    shown = json.loads((home.settings.home / "demo.json").read_text())
    for name, expected in (
        ("Overall-Top-Streaming-Categories", by_category),
        ("Overall-Top-Streaming-States", by_state),
    ):
        rows = query(session, saved(session, name))
        assert {str(r[0]): int(r[1] or 0) for r in rows} == dict(expected)
        assert [int(r[1] or 0) for r in rows] == sorted(expected.values(), reverse=True)
        assert rows == shown[name], "the demo printed something else"
        assert str(rows[0][0]) in home.printed


def test_every_run_that_enriched_says_in_its_note_what_it_counted(home: Home) -> None:
    api = AirflowApi(f"http://127.0.0.1:{home.settings.airflow_port}")
    rebuilt = [run["note"] for run in api.runs("rebuild_streaming_films") if run["state"] == "success"]
    assert len(rebuilt) >= 3
    assert all(
        re.match(r"partition: \d{4}-\d\d\n\nlanded [\d,]+ = enriched [\d,]+ \+ quarantined 0 \+ duplicates 0; ", note)
        for note in rebuilt
    )


def test_the_asset_graph_leads_from_a_report_back_to_mysql(home: Home) -> None:
    """Airflow's own graph, as its page *Task Dependencies* shows it."""
    client = AirflowApi(f"http://127.0.0.1:{home.settings.airflow_port}").client
    assets = client.get("/api/v2/assets", params={"name_pattern": "reports.film_popularity"}).json()["assets"]
    node = f"asset:{assets[0]['id']}"
    graph = client.get("/ui/dependencies", params={"node_id": node, "dependency_type": "data"}).json()
    before: dict[str, set[str]] = {entry["id"]: set() for entry in graph["nodes"]}
    for edge in graph["edges"]:
        before[edge["target_id"]].add(edge["source_id"])
    seen, ahead = set[str](), {node}
    while ahead:
        seen |= ahead
        ahead = {source for target in ahead for source in before[target]} - seen
    labels = {entry["label"] for entry in graph["nodes"] if entry["id"] in seen and entry["type"] == "asset"}
    assert labels == {
        "mysql.sakila", "landing.sakila", "sakila.film", "sakila.film_category", "sakila.category",
        "curated.film_category", "landing.streaming", "curated.streaming_films", "reports.film_popularity",
    }  # fmt: skip


def test_the_links_of_tasks_lead_to_what_exists_here(home: Home) -> None:
    api = AirflowApi(f"http://127.0.0.1:{home.settings.airflow_port}")

    def page(dag_id: str, task_id: str, link: str) -> str:
        run = next(run for run in api.runs(dag_id) if run["state"] == "success")
        links = api.get(f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}/links")["extra_links"]
        reply = api.client.get(links[link])
        assert reply.status_code == 200, reply.text
        return reply.text

    shown = json.loads((home.settings.home / "demo.json").read_text())
    rows = page("report_film_popularity", "query_overall_top_streaming_states", "Query Results")
    assert f"<td>{shown['Overall-Top-Streaming-States'][0][0]}</td>" in rows
    log = page("curate_film_category", "run_job", "AWS Glue Job Run Details")
    assert "<td>SUCCEEDED</td>" in log
    assert "/aws-glue/jobs/output" in log
    assert "cannot be read" not in log


def test_every_landed_event_is_one_row(session: boto3.Session) -> None:
    events = landed(session)
    ids = Counter(e["event_id"] for e in events)
    assert max(ids.values()) == 1
    rows = query(
        session,
        "select count(*), count(distinct event_id),"
        " count(distinct source_file || ':' || cast(source_line as varchar)) from streaming_films",
    )
    assert rows == [[str(len(events))] * 3]
    assert query(session, "select count(*) from streaming_events_quarantine") == [["0"]]


def test_every_acknowledged_event_has_landed(home: Home, session: boto3.Session) -> None:
    ledger = [line for p in (home.settings.home / "ledgers").glob("*") for line in p.read_text().split()]
    assert len(ledger) == len(set(ledger)) >= 16_200 + 18_000 + 20_000 + 20_600  # past months, live events
    assert set(ledger) == {e["event_id"] for e in landed(session)}


def test_rows_carry_the_film_that_mysql_names(session: boto3.Session, exported: dict[str, str]) -> None:
    category = films(exported)
    rows = query(session, "select distinct film_id, film_id_streaming, category_name from streaming_films")
    assert {int(r[0] or 0): r[2] for r in rows} == {
        k: v for k, v in category.items() if k in {int(r[0] or 0) for r in rows}
    }
    assert all(r[0] == r[1] for r in rows)


def test_the_film_table_that_the_lambda_made(session: boto3.Session) -> None:
    import awswrangler as wr

    frame = wr.s3.read_parquet_table(database="sakila", table="film", boto3_session=session)
    assert len(frame) == 1000
    assert str(frame["film_id"].dtype) in ("int64", "Int64")
    assert frame["original_language_id"].isna().all()


def test_awswrangler_reads_in_all_three_modes(session: boto3.Session) -> None:
    import awswrangler as wr

    sql = "select category_name, count(*) as films from film_category group by category_name"
    results = s3_results = f"s3://{LAKE.results_bucket}/athena/"
    frames = [
        wr.athena.read_sql_query(sql, "curated", workgroup=LAKE.workgroup, boto3_session=session, **mode)
        for mode in (
            {"ctas_approach": True},
            {"ctas_approach": False, "unload_approach": True, "s3_output": results + "unload/"},
            {"ctas_approach": False, "s3_output": s3_results},
        )
    ]
    as_sets = [set(zip(f["category_name"], f["films"].astype(int), strict=True)) for f in frames]
    assert as_sets[0] == as_sets[1] == as_sets[2]
    assert sum(n for _, n in as_sets[0]) == 1000


def test_replication_again_gives_the_same_counts(session: boto3.Session) -> None:
    dms = session.client("dms")

    def task() -> ReplicationTaskTypeDef:
        only: list[FilterTypeDef] = [{"Name": "replication-task-id", "Values": [LAKE.dms_task]}]
        return dms.describe_replication_tasks(Filters=only)["ReplicationTasks"][0]

    arn = task()["ReplicationTaskArn"]

    def rows() -> dict[str, int]:
        found = dms.describe_table_statistics(ReplicationTaskArn=arn)["TableStatistics"]
        return {t["TableName"]: t["FullLoadRows"] for t in found}

    before, since = rows(), task()["ReplicationTaskStats"]["StartDate"]
    assert len(before) == 16
    assert before["film"] == 1000
    dms.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="reload-target")

    def loaded_again() -> bool:
        now = task()
        return now["Status"] == "stopped" and now["ReplicationTaskStats"]["StartDate"] > since

    wait_until(loaded_again, 60, "the second load has not ended")
    assert task()["StopReason"] == "Stop Reason FULL_LOAD_ONLY_FINISHED"
    assert rows() == before


def test_a_killed_service_comes_back_with_nothing_lost(home: Home, session: boto3.Session) -> None:
    before = query(session, "select count(*) from streaming_films")
    for service in ("emulator", "server", "ingestion", "mysql", "trino"):
        killed = home.pid(service)
        os.kill(killed, signal.SIGKILL)
        home.run("up")
        assert home.pid(service) != killed
        assert query(session, "select count(*) from streaming_films") == before, service
        assert {t["Name"] for t in session.client("glue").get_tables(DatabaseName="sakila")["TableList"]} >= {"film"}


def test_airflow_has_no_import_errors(home: Home) -> None:
    assert AirflowApi(f"http://127.0.0.1:{home.settings.airflow_port}").import_errors() == []
