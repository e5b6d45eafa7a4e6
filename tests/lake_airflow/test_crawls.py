from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException

from datalake.months import Month
from datalake.tables import LANDED_EVENTS
from lake_airflow import crawls
from lake_airflow.defaults import LAKE
from tests.support.aws_services import Emulator
from tests.support.dag_services import Handler

OCTOBER, NOVEMBER = Month("2026", "10"), Month("2026", "11")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def unasked(_: datetime) -> bool:
    raise AssertionError("listing costs requests: not to be asked")


@pytest.mark.parametrize("last_crawl", [None, NOW - timedelta(minutes=1)])
def test_an_unknown_month_is_crawled_at_once(last_crawl: datetime | None) -> None:
    assert crawls.reason_to_crawl([OCTOBER, NOVEMBER], [OCTOBER], last_crawl, NOW, unasked) == (
        "Months that the catalog does not have: 2026-11"
    )


def test_nothing_landed_is_not_crawled() -> None:
    assert crawls.reason_to_crawl([], [], None, NOW, unasked) is None


def test_a_crawl_of_today_is_enough() -> None:
    assert crawls.reason_to_crawl([NOVEMBER], [NOVEMBER], NOW - timedelta(hours=23), NOW, unasked) is None


@pytest.mark.parametrize("landed", [True, False])
def test_after_a_day_only_new_events_are_crawled(landed: bool) -> None:
    asked = []

    def has_landed_since(moment: datetime) -> bool:
        asked.append(moment)
        return landed

    last = NOW - timedelta(days=1)
    assert bool(crawls.reason_to_crawl([NOVEMBER], [NOVEMBER], last, NOW, has_landed_since)) == landed
    assert asked == [last]


def test_drift_names_each_column() -> None:
    declared = {column.name: column.type for column in LANDED_EVENTS.columns}
    assert not any(crawls.drift(declared).values())
    found = {**declared, "film_id": "string", "device": "string"}
    del found["state"]
    assert crawls.drift(found) == {"added": ["device"], "missing": ["state"], "changed": ["film_id: int -> string"]}


@pytest.mark.services
class TestAgainstTheCatalog:
    @pytest.fixture
    def _landed(self, lake_services: Emulator, aws_calls: dict[str, Handler]) -> None:
        for month in ("2026/10", "2026/11"):
            lake_services.client("s3").put_object(Bucket=LAKE.landing_bucket, Key=f"streaming/{month}/x", Body=b"{}")
        aws_calls["glue.GetCrawler"] = lambda _: {"Crawler": {"Name": LAKE.crawler, "LastCrawl": {"StartTime": NOW}}}

    def crawl(self, emulator: Emulator, *months: Month) -> None:
        """What the crawler would leave behind."""
        glue, name = emulator.client("glue"), {"DatabaseName": "landing"}
        columns: list[Any] = LANDED_EVENTS.glue_columns()
        keys = [{"Name": key.name, "Type": key.type} for key in LANDED_EVENTS.partition_keys]
        table = {"Name": "streaming", "StorageDescriptor": {"Columns": columns}, "PartitionKeys": keys}
        glue.create_table(**name, TableInput=table)
        for month in months:
            partition = {"Values": [month.year, month.number], "StorageDescriptor": {"Columns": columns}}
            glue.create_partition(**name, TableName="streaming", PartitionInput=partition)

    @pytest.mark.usefixtures("_landed")
    def test_due_before_the_first_crawl(self) -> None:
        assert crawls.is_due()

    @pytest.mark.usefixtures("_landed")
    def test_due_until_every_month_is_known(self, lake_services: Emulator) -> None:
        self.crawl(lake_services, OCTOBER)
        assert crawls.is_due()
        with pytest.raises(AirflowException, match="landing.streaming still lacks the months 2026-11"):
            crawls.check_catalog()

    @pytest.mark.usefixtures("_landed")
    def test_not_due_when_every_month_is_known(
        self, lake_services: Emulator, monkeypatch: pytest.MonkeyPatch, aws_calls: dict[str, Handler]
    ) -> None:
        self.crawl(lake_services, OCTOBER, NOVEMBER)
        just_now = {"Crawler": {"LastCrawl": {"StartTime": datetime.now(UTC)}}}
        aws_calls["glue.GetCrawler"] = lambda _: just_now
        assert not crawls.is_due()
        assert not any(crawls.check_catalog().values())

    def test_a_crawler_that_never_ran_and_nothing_landed(
        self, lake_services: Emulator, aws_calls: dict[str, Handler]
    ) -> None:
        aws_calls["glue.GetCrawler"] = lambda _: {"Crawler": {"Name": LAKE.crawler}}
        assert not crawls.is_due()
