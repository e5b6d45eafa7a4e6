"""Whose rights a query needs, on a real Trino."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from local.settings import ACCOUNT, REGION
from tests.support.athena_home import DATA, DATABASE, RESULTS, WORKGROUP, AthenaHome, allow, done, reason, rows, run

pytestmark = pytest.mark.trino
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"


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
    done(engineer.client("athena"), "drop view narrow_view")
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
