"""The usage under each load, compared with calculations by hand; facts called measured are measured again."""

from __future__ import annotations

import dataclasses
import json
from uuid import UUID

import pytest

from infrastructure.cost.usage import FACTS, HOURS_A_MONTH, IDLE, TEN, THOUSAND, Buffer, Load, Usage, fact
from kdg.generator import Event, Generator
from kdg.template import EVENTS, Template

SECONDS = 2_628_000  # 730 x 3,600


def usage(load: Load) -> Usage:
    return Usage(load, Buffer(mib=1, seconds=60))


@pytest.mark.parametrize(
    ("load", "records", "gb"),
    [
        (IDLE, 0, 0),
        (TEN, 26_280_000, 125.3128),  # x 5 KB = 131,400,000 KB; / 1,048,576
        (THOUSAND, 2_628_000_000, 12_531.28),
    ],
)
def test_firehose_bills_five_kilobytes_a_record(load: Load, records: int, gb: float) -> None:
    assert usage(load).events == records
    assert usage(load).firehose_gb == pytest.approx(gb, rel=1e-5)


def test_firehose_bills_what_awss_own_example_says() -> None:
    """1,000 records of 3 KB a second for 30 days: 12,359.62 GB."""
    assert usage(dataclasses.replace(THOUSAND, hours=720)).firehose_gb == pytest.approx(12_359.62, abs=0.01)


@pytest.mark.parametrize(
    ("lines", "part"), [(1, 1), (2, 2), (26, 26), (27, 27 / 2)]
)  # 27 x 193 bytes take a second 5 KB
def test_lines_that_share_a_record_share_its_price(lines: int, part: float) -> None:
    joined = dataclasses.replace(TEN, events_per_record=lines)
    assert usage(joined).firehose_gb == pytest.approx(usage(TEN).firehose_gb / part)


@pytest.mark.parametrize(
    ("load", "objects"),
    [
        (IDLE, 0),
        (TEN, SECONDS / 60),  # 60 s of 1,930 bytes a second are less than 1 MiB
        (THOUSAND, SECONDS * 193_000 / 1_048_576),  # 1 MiB every 5.4 s
    ],
)
def test_objects_land_by_time_or_by_size(load: Load, objects: float) -> None:
    assert usage(load).objects == pytest.approx(objects)


@pytest.mark.parametrize(("month", "gb_months"), [(1, 0.5), (2, 1.5), (12, 11.5)])
def test_what_landed_stays(month: int, gb_months: float) -> None:
    stored = usage(dataclasses.replace(THOUSAND, month=month)).stored(fact("event"))
    assert stored == pytest.approx(472.37 * gb_months, rel=1e-4)  # 2,628,000,000 x 193 bytes


def test_what_expires_is_not_stored() -> None:
    year = usage(dataclasses.replace(THOUSAND, month=12))
    assert year.stored(fact("event"), kept_months=3) == pytest.approx(472.37 * 3, rel=1e-4)


@pytest.mark.parametrize(("load", "runs", "crawls"), [(IDLE, 0, 0), (TEN, 730, 31), (THOUSAND, 730, 31)])
def test_an_idle_lake_starts_no_hourly_job_and_no_crawl(load: Load, runs: int, crawls: int) -> None:
    assert (usage(load).runs, usage(load).crawls) == (runs, crawls)


@pytest.mark.parametrize(
    ("load", "enrich", "rebuild"),
    [
        (IDLE, 0, 0),
        (TEN, 36_000 * 28e-6 + 1_728_000 * 1e-6, 735.84),  # an hour's events; the ids of 48 hours; 26.28 million x 28 s
        (THOUSAND, 100.8 + 172.8, 73_584),
    ],
)
def test_cpu_seconds_of_a_run(load: Load, enrich: float, rebuild: float) -> None:
    assert usage(load).enrich_cpu == pytest.approx(enrich)
    assert usage(load).rebuild_cpu == pytest.approx(rebuild)


def test_lambda_polls_an_idle_queue_all_month() -> None:
    assert usage(IDLE).polls == 657_000  # five, every 20 s


@pytest.mark.parametrize(
    ("load", "queries"), [(IDLE, 730 + 1), (TEN, 5 * 730 + 1), (THOUSAND, 5 * 730 + 1)]  # + the rebuild's
)  # fmt: skip
def test_the_dags_queries(load: Load, queries: int) -> None:
    assert sum(count for count, _ in usage(load).queries.values()) == queries


def test_a_report_over_all_months_reads_them_all() -> None:
    year = usage(dataclasses.replace(THOUSAND, month=12))
    assert year.queries["top categories"][1] == pytest.approx(2.628e9 * 11.5 * 0.51)
    assert year.queries["film popularity"][1] == pytest.approx(2.628e9 / 2 * 1.95)


def test_half_a_month_is_half_of_everything_that_counts_by_the_hour() -> None:
    half = dataclasses.replace(TEN, hours=HOURS_A_MONTH / 2)
    for name in ("events", "firehose_gb", "objects", "runs", "polls"):
        assert getattr(usage(half), name) == pytest.approx(getattr(usage(TEN), name) / 2)


# ------------------------------------------------------------------ what is measured
@pytest.fixture(scope="module")
def events() -> list[Event]:
    generator = Generator(Template.read(EVENTS), seed=1, run_id=UUID(int=1))
    return generator.take([1_795_000_000 + n / 10 for n in range(36_000)])


def test_bytes_of_an_event(events: list[Event]) -> None:
    assert sum(len(event.data) for event in events) / len(events) == pytest.approx(fact("event"), abs=1)


def test_bytes_that_a_report_reads_of_a_row(events: list[Event]) -> None:
    """An hour's rows as Parquet with zstd, with the columns that the queries read."""
    import io
    import random

    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = random.Random(1)
    category = [chance.randrange(16) for _ in range(1001)]
    rows = [json.loads(event.data) for event in events]
    columns = {
        "title": [f"TITLE {row['film_id']}" for row in rows],
        "category_name": [f"category {category[row['film_id']]}" for row in rows],
        "state": [row["state"] for row in rows],
        "eventtype": [row["eventType"] for row in rows],
    }
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="zstd")
    group = pq.ParquetFile(file).metadata.row_group(0)
    size = {name: group.column(n).total_compressed_size / len(rows) for n, name in enumerate(columns)}
    assert size["category_name"] == pytest.approx(fact("scan_category"), rel=0.1)
    assert size["state"] == pytest.approx(fact("scan_state"), rel=0.1)
    assert size["title"] + size["category_name"] + size["eventtype"] == pytest.approx(fact("scan_month"), rel=0.1)


def test_every_fact_says_how_it_is_known() -> None:
    assert {one.known for one in FACTS.values()} == {"measured", "AWS", "assumed"}
    assert all(one.source and one.unit for one in FACTS.values())
