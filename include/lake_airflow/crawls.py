"""Whether the crawler should run, and whether it has registered every landed month in the catalog."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from airflow.providers.amazon.aws.hooks.glue_crawler import GlueCrawlerHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk.exceptions import AirflowException

from datalake import tables
from datalake.months import Month
from datalake.names import STREAMING_PREFIX
from lake_airflow.defaults import LAKE
from lake_airflow.new_events import landed_months, table_exists

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

log = logging.getLogger(__name__)

AT_LEAST_EVERY = timedelta(days=1)  # while events land


def is_due() -> bool:
    """Whether the crawler should run now; logs the reason."""
    s3, crawler = S3Hook(), GlueCrawlerHook()
    landed = landed_months(s3)
    last_crawl = crawler.get_crawler(LAKE.crawler).get("LastCrawl", {}).get("StartTime")

    def has_landed_since(moment: datetime) -> bool:
        newest = STREAMING_PREFIX + landed[-1].folder
        return any(o["LastModified"] > moment for o in s3.iter_file_metadata(newest, LAKE.landing_bucket))

    reason = reason_to_crawl(landed, crawled_months(crawler.conn), last_crawl, datetime.now(UTC), has_landed_since)
    log.info("%s", reason or "Nothing to crawl: the catalog has every month, and the last crawl is recent enough")
    return reason is not None


def reason_to_crawl(
    landed: Collection[Month],
    crawled: Collection[Month],
    last_crawl: datetime | None,
    now: datetime,
    has_landed_since: Callable[[datetime], bool],
) -> str | None:
    """Why the crawler should run, or None.

    It should run for a month that the catalog lacks, and for new events when the last crawl is a day old.
    ``has_landed_since`` is called last, as it lists objects.
    """
    if unknown := _missing(landed, crawled):
        return f"Months that the catalog does not have: {unknown}"
    if not landed or last_crawl is None or now - last_crawl < AT_LEAST_EVERY:
        return None
    return f"Events have landed since the crawl of {last_crawl:%F %R}" if has_landed_since(last_crawl) else None


def check_catalog() -> dict[str, list[str]]:
    """Check that the catalog has every landed month; returns how the columns have drifted (see ``drift``).

    Raises:
        AirflowException: names the months that the crawler has not registered.
    """
    s3, glue = S3Hook(), cast("GlueClient", GlueCrawlerHook().conn)
    if unknown := _missing(landed_months(s3), crawled_months(glue)):
        raise AirflowException(
            f"The crawler ran, but {tables.LANDED_EVENTS.full_name} still lacks the months {unknown}"
        )
    table = glue.get_table(DatabaseName=tables.LANDED_EVENTS.database, Name=tables.LANDED_EVENTS.name)["Table"]
    found = drift({column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]})
    if any(found.values()):
        log.warning("The partners' events have drifted from the declared columns: %s", found)
    return found


def crawled_months(glue: GlueClient) -> set[Month]:
    """The months that are registered in the catalog; none before the first crawl."""
    table = tables.LANDED_EVENTS
    if not table_exists(glue, table):
        return set()
    pages = glue.get_paginator("get_partitions").paginate(
        DatabaseName=table.database, TableName=table.name, ExcludeColumnSchema=True
    )
    return {Month(*partition["Values"][:2]) for page in pages for partition in page["Partitions"]}


def drift(found: dict[str, str]) -> dict[str, list[str]]:
    """How the columns found (name to type) differ from the declared ones: ``added``, ``missing``, ``changed``."""
    declared = {column.name: column.type for column in tables.LANDED_EVENTS.columns}
    both = sorted(declared.keys() & found.keys())
    return {
        "added": sorted(found.keys() - declared.keys()),
        "missing": sorted(declared.keys() - found.keys()),
        "changed": [f"{name}: {declared[name]} -> {found[name]}" for name in both if declared[name] != found[name]],
    }


def _missing(landed: Collection[Month], crawled: Collection[Month]) -> str:
    return ", ".join(month.key for month in sorted(set(landed) - set(crawled)))
