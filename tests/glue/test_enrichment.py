"""The enrichment end to end: Spark, Iceberg's GlueCatalog and S3FileIO on a real emulator, data recounted from landing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.glue.lake import TestLake, at, event, lines

pytestmark = [pytest.mark.spark, pytest.mark.services]

NOON = at("2026-11-10 12:00:00")


@pytest.fixture
def lake(
    spark: Any, emulator: Any, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestLake]:
    for name, value in aws_environment.items():
        monkeypatch.setenv(name, value)
    glue = emulator.client("glue")
    if not any(database["Name"] == "curated" for database in glue.get_databases()["DatabaseList"]):
        glue.create_database(DatabaseInput={"Name": "curated"})
    lake = TestLake(spark, emulator.client("s3"), glue)
    lake.create()
    yield lake
    lake.clear()


def test_each_landed_line_ends_in_one_table(lake: TestLake) -> None:
    good = event(NOON, film_id=3)
    unknown = event(NOON, film_id=999, price=1)
    landed = lake.put(
        "streaming/2026/11/sakila-streams-test-events-1-2026-11-10-12-00-00-00000000-0000-0000-0000-000000000001",
        lines(good) + b"\n{broken\n\xff\xfe\n" + lines(unknown),
    )
    report = lake.hourly()
    assert report.as_dict() | {"snapshot_id": 0, "film_category_snapshot": 0} == {
        "months": ["2026-11"],
        "objects": 1,
        "landed": 4,
        "enriched": 2,
        "quarantined": 2,
        "duplicates": 0,
        "unknown_films": 1,
        "reasons": {"not JSON": 1, "not UTF-8": 1},
        "unknown_fields": {"price": 1},
        "stale_months": [],
        "snapshot_id": 0,
        "film_category_snapshot": 0,
    }
    rows = {row.source_line: row.asDict() for row in lake.films().collect()}
    assert rows.keys() == {1, 5}
    assert rows[1] == {
        "timestamp": "2026-11-10T11:59:55+00:00",
        "eventtype": "rent",
        "film_id_streaming": 3,
        "distributor": "youtube",
        "platform": "ios",
        "state": "Utah",
        "partition_0": "2026",
        "partition_1": "11",
        "film_id": 3,
        "title": "FILM 3",
        "description": "about it",
        "release_year": 2006,
        "language_id": 1,
        "original_language_id": None,
        "length": 90,
        "rating": "PG",
        "special_features": "Trailers",
        "category_id": 0,
        "category_name": "Category 0",
        "event_id": good["event_id"],
        "event_time": "2026-11-10T11:59:55Z",
        "source_file": landed,
        "source_line": 1,
    }
    assert (rows[5]["film_id_streaming"], rows[5]["film_id"], rows[5]["title"]) == (999, None, None)
    quarantined = {row.source_line: (row.reason, row.raw, row.raw_encoding) for row in lake.quarantine().collect()}
    assert quarantined == {3: ("not JSON", "{broken", "utf-8"), 4: ("not UTF-8", "//4=", "base64")}
