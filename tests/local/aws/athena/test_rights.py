"""The rights that the caller of a query needs, on a real Trino."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local.settings import ACCOUNT, REGION
from tests.support.athena_home import DATA, DATABASE, RESULTS, WORKGROUP, AthenaHome, allow, done, reason, rows, run

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

pytestmark = pytest.mark.trino
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"


@pytest.fixture(scope="module")
def rights(shops: str) -> dict[str, dict[str, Any]]:
    """The policy statements that allow a query of one table."""
    workgroup = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{WORKGROUP}"
    verbs = ("StartQueryExecution", "GetQueryExecution", "GetQueryResults")
    table = [f"{GLUE}:catalog", f"{GLUE}:database/{DATABASE}", f"{GLUE}:table/{DATABASE}/{shops}"]
    return {
        "athena": allow(*(f"athena:{verb}" for verb in verbs), on=workgroup),
        "results": allow("s3:PutObject", "s3:GetObject", on=f"arn:aws:s3:::{RESULTS}/athena/*"),
        "table": allow("glue:GetTable", on=table),
        "data": allow("s3:GetObject", on=f"arn:aws:s3:::{DATA}/shops/*"),
    }


@pytest.fixture(scope="module")
def reader(trino_home: AthenaHome, rights: dict[str, dict[str, Any]]) -> AthenaClient:
    """A client of someone who may query one table and nothing else."""
    return trino_home.session(trino_home.lake.role("narrow", *rights.values())).client("athena")


def test_rights_of_the_caller(
    trino_home: AthenaHome, shops: str, rights: dict[str, dict[str, Any]], reader: AthenaClient, athena: AthenaClient
) -> None:
    """Each right in turn: without it the query is refused in AWS's words, with all of them it runs."""
    messages = {
        "results": "Access denied when writing output to url: s3://",
        "table": "Insufficient permissions to execute the query. User: ",
        "data": "PERMISSION_DENIED: User: ",
    }
    sql = f"select count(*) from {shops}"
    assert rows(reader, sql) == [["2"]]
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
    finished_id = athena.list_query_executions(WorkGroup=WORKGROUP)["QueryExecutionIds"][0]
    with pytest.raises(ClientError, match="AccessDenied.*athena:GetQueryExecution"):
        nobody.get_query_execution(QueryExecutionId=finished_id)


def test_a_view_needs_a_right_of_its_own(shops: str, reader: AthenaClient, athena: AthenaClient) -> None:
    done(athena, f"create or replace view narrow_view as select name from {shops}")
    execution = run(reader, "with a as (select 1 as n) select * from a, narrow_view")
    assert f"glue:GetTable on resource: {GLUE}:table/{DATABASE}/narrow_view" in reason(execution)
    done(athena, "drop view narrow_view")


def test_a_reader_can_neither_write_nor_see_the_catalog(shops: str, reader: AthenaClient) -> None:
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
        execution = run(reader, statement)
        assert execution["Status"]["State"] == "FAILED", statement
        assert "is not authorized to perform" in reason(execution), reason(execution)
