"""Queries on a real Trino: parameters, errors, states, workgroups, and the state after a restart."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from local.aws.athena.query_run import CANCELLED_BY_USER
from local.engines.waiting import wait_until
from tests.support.athena_home import (
    DATA,
    DATABASE,
    OUTPUT,
    RESULTS,
    WORKGROUP,
    AthenaHome,
    done,
    finished,
    reason,
    rows,
    run,
)

pytestmark = pytest.mark.trino
SLOW = (
    "select count(*) from unnest(sequence(1, 9999)) a(x), unnest(sequence(1, 9999)) b(y), unnest(sequence(1, 99)) c(z)"
)


def in_trino(home: AthenaHome, sql: str) -> bool:
    """Whether Trino is running this statement."""
    url = f"http://127.0.0.1:{home.lake.settings.trino_port}/v1/query?state=RUNNING"
    queries = requests.get(url, headers={"X-Trino-User": "test"}, timeout=10).json()
    return sql.strip() in [query["query"].strip() for query in queries]


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
        assert dict(caught.value.response)["AthenaErrorCode"] in ("MALFORMED_QUERY", "INVALID_INPUT")


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
    enforced = done(athena, "select 1", ResultConfiguration=wanted)  # this workgroup enforces its configuration
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


def test_interrupted_queries_fail_and_the_rest_is_kept(trino_home: AthenaHome, athena: Any) -> None:
    """A second service on a copy of the first one's file finds what a new server would find after a kill."""
    import shutil

    from local.aws.athena.executions import Executions
    from local.aws.athena.store import Store

    data = trino_home.lake.settings.data / "athena"
    kept = done(athena, "select 1")["QueryExecutionId"]
    running = athena.start_query_execution(QueryString=SLOW, WorkGroup=WORKGROUP)["QueryExecutionId"]
    wait_until(lambda: in_trino(trino_home, SLOW), 60, "the query did not reach Trino")
    copy = data / "copy"
    copy.mkdir()
    for file in data.glob("athena.sqlite*"):
        shutil.copy(file, copy / file.name)
    store = Store(copy / "athena.sqlite")
    Executions(trino_home.lake.server, store).start()
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
    from local.aws.athena import trino_client

    monkeypatch.setattr(trino_client, "HOST", "127.0.0.9")
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
