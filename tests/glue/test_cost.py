"""What an hourly run opens: counted on the wire between Iceberg and S3."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from datalake.tables import QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark.report import Report
from tests.glue.history import add_days
from tests.glue.lake import TestLake, at, event, key, lines
from tests.support.faulty_proxy import Exchange, faulty_proxy

pytestmark = [pytest.mark.spark, pytest.mark.services]

KINDS = {
    "data": r"/data/.*\.parquet$",
    "table": r"/metadata/.*\.metadata\.json$",
    "list": r"/metadata/snap-.*\.avro$",
    "manifest": r"/metadata/(?!snap-).*\.avro$",
}


class Opened:
    """What was read of the tables: every GET of one of their files."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self._gets = [one for one in exchanges if one.method == "GET" and one.status in (200, 206)]

    def reads(self, kind: str) -> list[Exchange]:
        """GETs of one of KINDS: a file may be read in parts, and more than once."""
        return [one for one in self._gets if re.search(KINDS[kind], one.path)]

    def files(self, kind: str) -> set[str]:
        """Paths."""
        return {one.path for one in self.reads(kind)}

    def bytes(self, kind: str) -> int:
        """Over all GETs."""
        return sum(one.size for one in self.reads(kind))


def measured_hourly(lake: TestLake, target: str) -> tuple[Report, Opened, TestLake]:
    """An hourly run in a session of its own, whose reads of the tables are counted."""
    with faulty_proxy(target) as proxy:
        session = lake.spark.newSession()
        session.conf.set("spark.sql.catalog.glue_catalog.s3.endpoint", proxy.url)
        measured = TestLake(session, lake.s3, lake.landing, lake.curated)
        return measured.hourly(), Opened(proxy.exchanges), measured


def _location(url: str) -> dict[str, str]:
    """Bucket and key of an s3:// URL."""
    parts = urlsplit(url)
    return {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}


def test_an_hourly_run_opens_the_last_days_files_and_no_older_ones(
    lake: TestLake, aws_environment: dict[str, str]
) -> None:
    old = at("2026-11-01 12:00:00")
    for stream in range(8):  # a file each
        lake.land(old, *(event(old) for _ in range(500)), stream=f"stream{stream}-1-")
    lake.hourly()
    yesterday = old + timedelta(days=8)
    recent = lake.land(yesterday, *(event(yesterday) for _ in range(5)))
    lake.hourly()
    now = yesterday + timedelta(hours=1)
    added = lake.land(now, event(now))
    report, opened, _ = measured_hourly(lake, aws_environment["AWS_ENDPOINT_URL"])
    assert report.landed == 1
    rows = lake.films().where(f"source_file IN ('{recent}', '{added}')").selectExpr("_file path").distinct().collect()
    films = {path for path in opened.files("data") if "/streaming_films/" in path}
    assert {f"s3:/{path}" for path in films} == {row.path for row in rows}
    # Measured: the reads of these files of 8 KB return seven times their size.
    sizes = sum(lake.s3.head_object(**_location(row.path))["ContentLength"] for row in rows)
    assert sum(read.size for read in opened.reads("data") if read.path in films) < 10 * sizes


def test_the_cost_of_an_hour_is_the_same_after_a_year(lake: TestLake, aws_environment: dict[str, str]) -> None:
    """The past is metadata: a run that opened one of its data files would fail."""
    month, now = at("2026-11-01 12:00:00"), at("2026-11-20 12:00:00")
    costs = {}
    for days in (0, 30, 365):
        lake.empty()
        first = month - timedelta(days=days)
        lake.put(key(first), b"bad\n" + lines(event(first)))
        lake.hourly()
        for table in (STREAMING_FILMS, QUARANTINE, RECONCILIATION):
            add_days(lake.spark, table, [first + timedelta(days=n) for n in range(1, days + 16)])
        lake.put(key(now), b"bad\n" + lines(event(now)))
        report, opened, _ = measured_hourly(lake, aws_environment["AWS_ENDPOINT_URL"])
        assert (report.objects, report.landed) == (1, 2)
        kinds = ("data", "manifest", "list", "table")
        costs[days] = {kind: (len(opened.files(kind)), len(opened.reads(kind)), opened.bytes(kind)) for kind in kinds}
    for days in (30, 365):
        for after, before in zip(costs[days]["data"], costs[0]["data"], strict=True):
            assert after <= 1.1 * before
    # Measured: 14, 9 and 13 manifests, 8 to 30 KB each, in 23, 25 and 30 requests (56, 35 and 54 if none is kept in
    # memory); those of the month and those not yet merged, whatever the past.
    assert max(cost["manifest"][0] for cost in costs.values()) <= 18
    assert max(cost["manifest"][1] for cost in costs.values()) <= 40
    # Measured: 12 requests for the 7 states of the tables that a run sees; 26 if each look at one reads it again.
    assert max(cost["table"][1] for cost in costs.values()) <= 16
