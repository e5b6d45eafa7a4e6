"""What people do under the lake's roles; then all calls of the journey are compared with used_grants.json.

Runs after the other files of the journey, because it also checks their calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from datalake.names import Lake
from datalake.tables import FILM_CATEGORY, LANDED_EVENTS, SAKILA, STREAMING_FILMS
from infrastructure.cfn.template import parse_template
from infrastructure.iam import decisions, unproven_grants, used_grants
from infrastructure.iam.grants import granted
from infrastructure.package import render_template
from local.engines.waiting import wait_until
from local.settings import ACCOUNT, DEVELOPER, ENVIRONMENT, ROOT_ACCESS_KEY, SUFFIX
from tests.support.own_home import Home

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

pytestmark = pytest.mark.journey
LAKE = Lake(ENVIRONMENT, SUFFIX)
Roles = Callable[[str], boto3.Session]


@pytest.fixture(scope="module")
def roles(session: boto3.Session) -> Roles:
    """Sessions under a role of the lake; ``session`` has set the endpoints."""

    def assume(component: str) -> boto3.Session:
        root = boto3.client("sts", aws_access_key_id=ROOT_ACCESS_KEY, aws_secret_access_key=ROOT_ACCESS_KEY)
        role = f"arn:aws:iam::{ACCOUNT}:role/{LAKE.role(component)}"
        issued = root.assume_role(RoleArn=role, RoleSessionName="journey")["Credentials"]
        return boto3.Session(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])

    return assume


@pytest.fixture(scope="module", params=["analyst", "operator"])
def reader(request: pytest.FixtureRequest, roles: Roles) -> boto3.Session:
    return roles(request.param)


def started(athena: AthenaClient, sql: str) -> str:
    return athena.start_query_execution(
        QueryString=sql, WorkGroup=LAKE.workgroup, QueryExecutionContext={"Database": "curated"}
    )["QueryExecutionId"]


def final_state(athena: AthenaClient, query: str) -> str:
    def state() -> str | None:
        found = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"]
        return found if found in ("SUCCEEDED", "FAILED", "CANCELLED") else None

    return wait_until(state, 60, f"query {query} has not ended") or ""


def test_browses_the_workgroup_and_the_catalog(reader: boto3.Session) -> None:
    athena, glue = reader.client("athena"), reader.client("glue")
    assert LAKE.workgroup in {group["Name"] for group in athena.list_work_groups()["WorkGroups"]}
    workgroup = athena.get_work_group(WorkGroup=LAKE.workgroup)["WorkGroup"]
    assert workgroup["Configuration"]["EnforceWorkGroupConfiguration"]
    assert athena.list_engine_versions()["EngineVersions"]
    [catalog] = athena.list_data_catalogs()["DataCatalogsSummary"]
    assert athena.get_data_catalog(Name=catalog["CatalogName"])["DataCatalog"]["Type"] == "GLUE"
    catalog_name = catalog["CatalogName"]
    databases = {database["Name"] for database in athena.list_databases(CatalogName=catalog_name)["DatabaseList"]}
    assert databases == {database["Name"] for database in glue.get_databases()["DatabaseList"]} >= {"sakila", "curated"}
    assert athena.get_database(CatalogName=catalog_name, DatabaseName="curated")["Database"]["Name"] == "curated"
    assert glue.get_database(Name="landing")["Database"]["Name"] == "landing"
    listed = athena.list_table_metadata(CatalogName=catalog_name, DatabaseName="sakila")["TableMetadataList"]
    assert {table["Name"] for table in listed} == SAKILA.keys()
    found = athena.get_table_metadata(CatalogName=catalog_name, DatabaseName="curated", TableName=STREAMING_FILMS.name)[
        "TableMetadata"
    ]
    assert [column["Name"] for column in found["Columns"]] == [column.name for column in STREAMING_FILMS.columns]
    for database, table in (("sakila", "film"), ("landing", "streaming"), ("curated", FILM_CATEGORY.name)):
        assert table in {one["Name"] for one in glue.get_tables(DatabaseName=database)["TableList"]}
        assert glue.get_table(DatabaseName=database, Name=table)["Table"]["DatabaseName"] == database


def test_finds_the_months_of_the_events(reader: boto3.Session) -> None:
    glue, database, table = reader.client("glue"), "landing", "streaming"
    months = glue.get_partitions(DatabaseName=database, TableName=table)["Partitions"]
    assert months
    values = months[0]["Values"]
    alone = glue.get_partition(DatabaseName=database, TableName=table, PartitionValues=values)["Partition"]
    [again] = glue.batch_get_partition(DatabaseName=database, TableName=table, PartitionsToGet=[{"Values": values}])[
        "Partitions"
    ]
    location = f"s3://{LAKE.landing_bucket}/streaming/{'/'.join(values)}"
    assert {one["StorageDescriptor"]["Location"].rstrip("/") for one in (months[0], alone, again)} == {location}


def test_queries_every_zone_by_awswrangler(reader: boto3.Session) -> None:
    import awswrangler as wr

    for database, sql, expected in (
        ("sakila", "select count(*) as n from film", 1000),
        ("curated", "select count(*) as n from film_category", 1000),
        ("landing", "select count(distinct partition_1) as n from streaming", None),
    ):
        frame = wr.athena.read_sql_query(
            sql, database, workgroup=LAKE.workgroup, ctas_approach=False, boto3_session=reader
        )
        assert frame["n"].tolist() == [expected] if expected else frame["n"][0] > 0
    frame = wr.athena.read_sql_query(
        "select film_id, category_name from film_category",
        "curated",
        workgroup=LAKE.workgroup,
        keep_files=False,
        boto3_session=reader,
    )  # through a temporary table, whose objects it deletes
    assert len(frame) == 1000
    left = reader.client("glue").get_tables(DatabaseName="curated", Expression="temp_table_.*")["TableList"]
    assert left == []


def test_prepares_statements(reader: boto3.Session) -> None:
    import awswrangler as wr

    athena, name = reader.client("athena"), "films_of_category"
    for sql in ("select 1", "select count(*) as n from film_category where category_name = ?"):
        wr.athena.create_prepared_statement(sql, name, LAKE.workgroup, mode="update", boto3_session=reader)
    listed = athena.list_prepared_statements(WorkGroup=LAKE.workgroup)["PreparedStatements"]
    assert [one["StatementName"] for one in listed] == [name]
    alone = athena.get_prepared_statement(StatementName=name, WorkGroup=LAKE.workgroup)["PreparedStatement"]
    assert alone["QueryStatement"] == sql
    found = athena.batch_get_prepared_statement(PreparedStatementNames=[name], WorkGroup=LAKE.workgroup)
    assert found["PreparedStatements"][0]["QueryStatement"] == sql
    query = started(athena, f"execute {name} using 'Comedy'")
    assert final_state(athena, query) == "SUCCEEDED"
    rows = athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
    assert int(rows[1]["Data"][0]["VarCharValue"]) > 0
    wr.athena.delete_prepared_statement(name, LAKE.workgroup, boto3_session=reader)
    assert athena.list_prepared_statements(WorkGroup=LAKE.workgroup)["PreparedStatements"] == []


def test_looks_at_saved_queries_and_at_what_ran(reader: boto3.Session) -> None:
    athena = reader.client("athena")
    ids = athena.list_named_queries(WorkGroup=LAKE.workgroup)["NamedQueryIds"]
    saved = athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"]
    one = athena.get_named_query(NamedQueryId=saved[0]["NamedQueryId"])["NamedQuery"]
    assert one["QueryString"] == saved[0]["QueryString"]
    query = started(athena, "select count(*) from film_category")
    assert final_state(athena, query) == "SUCCEEDED"
    assert query in athena.list_query_executions(WorkGroup=LAKE.workgroup)["QueryExecutionIds"]
    [again] = athena.batch_get_query_execution(QueryExecutionIds=[query])["QueryExecutions"]
    assert again["Status"]["State"] == "SUCCEEDED"
    statistics = athena.get_query_runtime_statistics(QueryExecutionId=query)["QueryRuntimeStatistics"]
    assert statistics["Rows"]["OutputRows"] == 1


@pytest.mark.parametrize("component", ["analyst", "operator", "airflow"])
def test_stops_a_query_that_takes_too_long(roles: Roles, component: str) -> None:
    """Airflow does this when the task of a query is killed."""
    athena = roles(component).client("athena")
    query = started(athena, "select count(*) from streaming_films a, streaming_films b, streaming_films c")
    athena.stop_query_execution(QueryExecutionId=query)
    assert final_state(athena, query) == "CANCELLED"


def test_reads_objects_of_every_zone(reader: boto3.Session) -> None:
    s3 = reader.client("s3")
    for bucket, prefix in (
        (LAKE.landing_bucket, "streaming/"),
        (LAKE.clean_bucket, "sakila/"),
        (LAKE.curated_bucket, FILM_CATEGORY.prefix),
        (LAKE.results_bucket, "reports/"),
        (LAKE.results_bucket, "athena/"),
    ):
        entry = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"][0]
        assert len(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()) == entry["Size"]


@pytest.mark.parametrize("job", [LAKE.film_category_job, LAKE.streaming_films_job, LAKE.maintain_lake_job])
def test_the_operator_starts_and_stops_jobs(roles: Roles, job: str) -> None:
    glue = roles("operator").client("glue")
    assert glue.get_job(JobName=job)["Job"]["GlueVersion"] == "5.1"
    run = glue.start_job_run(JobName=job)["JobRunId"]
    assert run in {one["Id"] for one in glue.get_job_runs(JobName=job)["JobRuns"]}
    assert glue.batch_stop_job_run(JobName=job, JobRunIds=[run])["Errors"] == []

    def state() -> str:
        return str(glue.get_job_run(JobName=job, RunId=run)["JobRun"]["JobRunState"])

    wait_until(lambda: state() == "STOPPED", 60, "the run did not end")


def test_the_operator_crawls_again_what_is_known(roles: Roles) -> None:
    glue = roles("operator").client("glue")

    def columns() -> set[str]:
        """Names only: a bad line may have widened a type, as on AWS."""
        table = glue.get_table(DatabaseName=LANDED_EVENTS.database, Name=LANDED_EVENTS.name)["Table"]
        return {column["Name"] for column in (*table["StorageDescriptor"]["Columns"], *table["PartitionKeys"])}

    def last_start() -> Any:
        crawler = glue.get_crawler(Name=LAKE.crawler)["Crawler"]
        return crawler["LastCrawl"]["StartTime"] if crawler["State"] == "READY" else None

    wait_until(lambda: last_start() is not None, 120, "no crawl that Airflow began has ended")
    before, started_before = columns(), last_start()
    glue.start_crawler(Name=LAKE.crawler)
    wait_until(lambda: last_start() not in (None, started_before), 120, "the crawl did not end")
    assert glue.get_crawler(Name=LAKE.crawler)["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"
    assert columns() >= before


def test_the_developer_is_an_operator() -> None:
    """So that the developer's calls may count as the operator's."""
    iam = boto3.client("iam", aws_access_key_id=ROOT_ACCESS_KEY, aws_secret_access_key=ROOT_ACCESS_KEY)
    user = iam.list_attached_user_policies(UserName=DEVELOPER)["AttachedPolicies"]
    role = iam.list_attached_role_policies(RoleName=LAKE.role("operator"))["AttachedPolicies"]
    assert {one["PolicyArn"] for one in user} == {one["PolicyArn"] for one in role}
    assert iam.list_user_policies(UserName=DEVELOPER)["PolicyNames"] == []


def test_what_the_journey_used_is_what_is_written_down(home: Home) -> None:
    made = decisions.calls(decisions.read([home.settings.iam_decisions]))
    assert [call for call in sorted(made) if not call.allowed] == [], "denied"
    found = used_grants.uses(granted(parse_template(render_template())), made).keys()
    written = used_grants.read()
    # a journey may by chance use grants that no test uses on purpose: Iceberg cleans up after a rejected commit
    by_chance = {grant for group in unproven_grants.read() if group.enforced for grant in group.grants}
    unwritten = found - {use.grant for use in written} - by_chance
    assert sorted(unwritten) == [], "used, but not in used_grants.json: infrastructure.iam.decisions"
    assert sorted({use.grant for use in written if "journey" in use.tiers} - found) == [], "not used by this run"
