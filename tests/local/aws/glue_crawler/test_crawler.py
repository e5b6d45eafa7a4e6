"""Glue crawlers: tables, partitions, drift, states, rights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws.glue_catalog import GlueCatalog
from local.aws.glue_crawler import GlueCrawler
from tests.local.aws.glue_crawler.crawls import (
    BUCKET,
    EVENT,
    GLUE,
    columns,
    crawl,
    land,
    log,
    months,
    parquet,
    ready,
    role,
    table,
)
from tests.support.aws_services import (
    Emulator,
    LakeServer,
    point_clients_at,
    running_emulator,
    running_server,
)

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("home")) as running:
        running.client("s3").create_bucket(Bucket=BUCKET)
        running.client("glue").create_database(DatabaseInput={"Name": "landing"})
        yield running


@pytest.fixture(scope="module")
def lake(home: Emulator) -> Iterator[LakeServer]:
    with running_server(home, [GlueCatalog, GlueCrawler]) as running:
        yield running


@pytest.fixture
def glue(lake: LakeServer) -> Any:
    return lake.client("glue", config=Config(retries={"max_attempts": 0}))


@pytest.fixture
def crawler(lake: LakeServer, glue: Any, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Creates a crawler over ``<test>/streaming/`` with a table prefix of its own."""

    def make(**definition: Any) -> str:
        name = str(request.node.name)
        glue.create_crawler(
            Name=name,
            **{
                "Role": role(lake),
                "DatabaseName": "landing",
                "TablePrefix": f"{name}_",
                "Targets": {"S3Targets": [{"Path": f"s3://{BUCKET}/{name}/streaming/"}]},
                "SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG"},
                "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
                **definition,
            },
        )
        return name

    return make


def test_landed_events_become_a_table_with_months(lake: LakeServer, glue: Any, crawler: Callable[..., str]) -> None:
    level = {"Version": 1.0, "Grouping": {"TableLevelConfiguration": 3}}
    name = crawler(Configuration=json.dumps(level))
    land(lake, name, "2026/08/a", EVENT, EVENT)
    land(lake, name, "2026/09/b", EVENT)
    land(lake, name, "2026/09/_hidden", b"not looked at")
    last = crawl(glue, name)
    assert last["Status"] == "SUCCEEDED", last
    assert columns(glue, name) == {"timestamp": "string", "eventtype": "string", "film_id": "int", "state": "string"}
    made = table(glue, name)
    assert [(key["Name"], key["Type"]) for key in made["PartitionKeys"]] == [
        ("partition_0", "string"),
        ("partition_1", "string"),
    ]
    storage = made["StorageDescriptor"]
    assert storage["Location"] == f"s3://{BUCKET}/{name}/streaming/"
    assert storage["SerdeInfo"]["SerializationLibrary"] == "org.openx.data.jsonserde.JsonSerDe"
    assert storage["SerdeInfo"]["Parameters"]["paths"] == "eventType,film_id,state,timestamp"
    parameters = made["Parameters"]
    assert (parameters["classification"], parameters["UPDATED_BY_CRAWLER"]) == ("json", name)
    assert (parameters["objectCount"], parameters["recordCount"]) == ("2", "3")
    assert months(glue, name) == ["2026/08", "2026/09"]
    metrics = glue.get_crawler_metrics(CrawlerNameList=[name])["CrawlerMetricsList"][0]
    assert (metrics["TablesCreated"], metrics["TablesUpdated"], metrics["StillEstimating"]) == (1, 0, False)
    assert glue.list_crawls(CrawlerName=name)["Crawls"][0]["State"] == "COMPLETED"


def test_new_months_and_drift_are_taken_in(lake: LakeServer, glue: Any, crawler: Callable[..., str]) -> None:
    name = crawler()
    land(lake, name, "2026/08/a", EVENT)
    crawl(glue, name)
    land(lake, name, "2026/09/b", {**EVENT, "film_id": "seven", "country": {"Code": "US"}})
    assert crawl(glue, name)["Status"] == "SUCCEEDED"
    assert months(glue, name) == ["2026/08", "2026/09"]
    assert columns(glue, name) == {
        "timestamp": "string",
        "eventtype": "string",
        "film_id": "string",
        "state": "string",
        "country": "struct<code:string>",
    }
    lines = log(lake, name)
    assert "new field country (struct<code:string>)" in lines
    assert "field film_id changed from int to string" in lines
    summary = json.loads(glue.list_crawls(CrawlerName=name)["Crawls"][0]["Summary"])
    assert summary["tables_updated"] == [f"landing.{name}_streaming"]
    assert glue.get_crawler_metrics(CrawlerNameList=[name])["CrawlerMetricsList"][0]["TablesUpdated"] == 1


def test_a_type_becomes_wider_and_never_narrower(lake: LakeServer, glue: Any, crawler: Callable[..., str]) -> None:
    name = crawler()
    first, odd = EVENT | {"x": {"a": 1, "b": [1]}}, EVENT | {"film_id": "106", "x": {"b": [0.5], "c": "c"}}
    land(lake, name, "2026/08/a", first)
    crawl(glue, name)
    land(lake, name, "2026/08/a", odd)
    crawl(glue, name)
    wide = columns(glue, name)
    assert (wide["film_id"], wide["x"]) == ("string", "struct<a:int,b:array<double>,c:string>")
    land(lake, name, "2026/08/a", first)  # as when the odd object is sampled no more
    crawl(glue, name)
    assert columns(glue, name) == wide


def test_a_vanished_field_is_logged_and_kept(lake: LakeServer, glue: Any, crawler: Callable[..., str]) -> None:
    name = crawler()
    land(lake, name, "2026/08/a", EVENT)
    crawl(glue, name)
    land(lake, name, "2026/08/a", {key: value for key, value in EVENT.items() if key != "state"})
    crawl(glue, name)
    assert "state" in columns(glue, name)
    assert "field state (string) was in no sampled object" in log(lake, name)


def test_changes_are_only_logged_if_the_policy_says_so(
    lake: LakeServer, glue: Any, crawler: Callable[..., str]
) -> None:
    name = crawler(SchemaChangePolicy={"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"})
    land(lake, name, "2026/08/a", EVENT)
    crawl(glue, name)
    before = columns(glue, name)
    land(lake, name, "2026/09/b", {**EVENT, "country": "US"})
    crawl(glue, name)
    assert columns(glue, name) == before
    assert "new field country" in log(lake, name)
    assert months(glue, name) == ["2026/08", "2026/09"]


def test_new_folders_only(lake: LakeServer, glue: Any, crawler: Callable[..., str]) -> None:
    name = crawler(RecrawlPolicy={"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"})
    land(lake, name, "2026/08/a", EVENT)
    crawl(glue, name)
    land(lake, name, "2026/08/broken", b"{no json\n")  # an old folder: not read
    crawl(glue, name)
    assert "no new folder" in log(lake, name)
    land(lake, name, "2026/09/b", EVENT)
    crawl(glue, name)
    assert months(glue, name) == ["2026/08", "2026/09"]


def test_named_folders_csv_and_parquet(lake: LakeServer, glue: Any, crawler: Callable[..., str]) -> None:
    name = crawler()
    land(lake, name, "Year=2026/a.csv", b"id,title\n1,A\n2,B\n")
    crawl(glue, name)
    assert [key["Name"] for key in table(glue, name)["PartitionKeys"]] == ["year"]
    assert months(glue, name) == ["2026"]
    assert table(glue, name)["Parameters"]["skip.header.line.count"] == "1"
    other = f"s3://{BUCKET}/{name}/parquet"
    lake.emulator.client("s3").put_object(Bucket=BUCKET, Key=f"{name}/parquet/a.parquet", Body=parquet())
    glue.update_crawler(Name=name, Targets={"S3Targets": [{"Path": other}]})
    assert crawl(glue, name)["Status"] == "SUCCEEDED"
    made = glue.get_table(DatabaseName="landing", Name=f"{name}_parquet")["Table"]
    assert [column["Type"] for column in made["StorageDescriptor"]["Columns"]] == ["bigint", "decimal(5,2)"]
    assert made["PartitionKeys"] == []


def test_a_failed_crawl_has_its_reason(lake: LakeServer, glue: Any, crawler: Callable[..., str]) -> None:
    name = crawler()
    land(lake, name, "2026/08/a", b"prose\n")
    failed = crawl(glue, name)
    assert failed["Status"] == "FAILED"
    assert "is JSON, CSV or Parquet" in failed["ErrorMessage"]
    land(lake, name, "2026/08/a", EVENT)
    land(lake, name, "stray", EVENT)
    assert "different depths" in crawl(glue, name)["ErrorMessage"]
    glue.update_crawler(Name=name, Targets={"S3Targets": [{"Path": f"s3://{BUCKET}/{name}/streaming/2026"}]})
    crawl(glue, name)
    glue.update_crawler(Name=name, Role=role(lake, "meek", may_update=False))
    denied = crawl(glue, name)
    assert denied["Status"] == "FAILED"
    assert "assumed-role/meek/AWS-Crawler is not authorized to perform: glue:UpdateTable" in denied["ErrorMessage"]
    glue.update_crawler(Name=name, Role=lake.role("blind", {"Effect": "Allow", "Action": "glue:*", "Resource": "*"}))
    assert "s3:ListBucket" in crawl(glue, name)["ErrorMessage"]


def test_states_rights_and_refusals(lake: LakeServer, glue: Any, crawler: Callable[..., str]) -> None:
    name = crawler()
    for n in range(300):
        land(lake, name, f"2026/{n % 12 + 1:02}/{n}", EVENT)
    glue.start_crawler(Name=name)
    running = glue.get_crawler(Name=name)["Crawler"]
    assert running["State"] == "RUNNING"

    def refused(call: Any, **arguments: Any) -> str:
        with pytest.raises(ClientError) as caught:
            call(**arguments)
        return str(caught.value.response["Error"]["Code"])

    assert refused(glue.start_crawler, Name=name) == "CrawlerRunningException"
    assert refused(glue.delete_crawler, Name=name) == "CrawlerRunningException"
    glue.stop_crawler(Name=name)
    assert ready(glue, name)["LastCrawl"]["Status"] == "CANCELLED"
    assert glue.list_crawls(CrawlerName=name)["Crawls"][0]["State"] == "STOPPED"
    assert refused(glue.stop_crawler, Name=name) == "CrawlerNotRunningException"
    assert refused(glue.start_crawler, Name="absent") == "EntityNotFoundException"
    assert refused(glue.update_crawler, Name=name, Schedule="cron(0 * * * ? *)") == "InvalidInputException"
    excluding = {"S3Targets": [{"Path": f"s3://{BUCKET}/x", "Exclusions": ["**.tmp"]}]}
    assert refused(glue.update_crawler, Name=name, Targets=excluding) == "InvalidInputException"
    assert refused(glue.start_crawler_schedule, CrawlerName=name) == "UnknownOperationException"
    grant = {"Effect": "Allow", "Action": "glue:GetCrawler", "Resource": f"{GLUE}:crawler/{name}"}
    onlooker = lake.session(lake.role("crawl-onlooker", grant)).client("glue")
    assert onlooker.get_crawler(Name=name)["Crawler"]["Name"] == name
    assert refused(onlooker.start_crawler, Name=name) == "AccessDeniedException"
    glue.delete_crawler(Name=name)
    assert name not in glue.list_crawlers()["CrawlerNames"]


def test_operator_runs_the_crawler(
    lake: LakeServer, crawler: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator

    point_clients_at(lake.settings, monkeypatch)
    name = crawler()
    land(lake, name, "2026/08/a", EVENT)
    run = GlueCrawlerRunOperator(task_id="run", crawler_name=name, poll_interval=1)
    assert run.execute({}) == name
    land(lake, name, "stray", EVENT)
    with pytest.raises(Exception, match="CrawlerReady|FAILED|failure"):
        run.execute({})


def test_a_crawl_that_a_kill_ended_has_failed(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator:
        with running_server(emulator, [GlueCatalog, GlueCrawler]) as lake:
            emulator.client("s3").create_bucket(Bucket=BUCKET)
            emulator.client("glue").create_database(DatabaseInput={"Name": "landing"})
            targets = {"S3Targets": [{"Path": f"s3://{BUCKET}/x/streaming/"}]}
            client = lake.client("glue")
            client.create_crawler(Name="x", Role=role(lake), DatabaseName="landing", Targets=targets)
            crawl(client, "x")
        path = next((emulator.settings.data / "glue_crawler").glob("*.json"))
        state = json.loads(path.read_text())
        path.write_text(json.dumps({**state, "state": "RUNNING"}))  # as a kill leaves it
        with running_server(emulator, [GlueCatalog, GlueCrawler]) as lake:
            described = lake.client("glue").get_crawler(Name="x")["Crawler"]
            assert (described["State"], described["LastCrawl"]["Status"]) == ("READY", "FAILED")
            assert "killed" in described["LastCrawl"]["ErrorMessage"]
