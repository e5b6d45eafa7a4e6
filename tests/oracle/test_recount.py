"""The oracle on tables that the Glue job really wrote."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from datalake.names import LANDING, Lake
from datalake.tables import STREAMING_FILMS
from datalake_spark import iceberg
from oracle.__main__ import main
from oracle.model import Verdict
from oracle.recount import Recount, verdict
from tests.glue.lake import TestLake, at, event, key, lines

pytestmark = pytest.mark.spark
NAMES = Lake("oracle", "test")
NIGHT = at("2026-10-31 23:50:00")


def judged(lake: TestLake, **given: Any) -> Verdict:
    return verdict(boto3.Session(), lake.landing, **given)


def verify(*arguments: str) -> int:
    """``make verify``."""
    return main(arguments, {"LAKE_ENVIRONMENT": NAMES.environment, "LAKE_SUFFIX": NAMES.suffix})


def land_events(lake: TestLake) -> list[dict[str, Any]]:
    """Three events, bad lines, a redelivery across the month's edge, a foreign file and a conflicting event id."""
    batch = [event(NIGHT, film_id=film) for film in (1, 2, 999)]
    lake.land(NIGHT, *batch)
    bad = b"\n{half\n\xff\n" + lines(event(NIGHT), event(NIGHT, state=""))
    lake.put(key(NIGHT + timedelta(minutes=5)), bad)
    lake.land(NIGHT + timedelta(minutes=30), *batch, event(NIGHT))
    lake.put("streaming/2026/11/notes.txt", b"hello\n")
    lake.land(NIGHT + timedelta(hours=1), event(NIGHT, event_id=batch[0]["event_id"], state="Iowa"))
    return batch


@pytest.fixture
def enriched(lake: TestLake, capsys: pytest.CaptureFixture[str]) -> Iterator[list[dict[str, Any]]]:
    """What has landed and gone through an hourly run in a lake that was empty."""
    lake.landing = NAMES.bucket(LANDING)
    lake.s3.create_bucket(Bucket=lake.landing)
    assert verify() == 0
    assert "There is nothing to recount" in capsys.readouterr().out
    batch = land_events(lake)
    lake.hourly()
    yield batch
    for left in lake.s3.list_objects_v2(Bucket=lake.landing).get("Contents", []):
        lake.s3.delete_object(Bucket=lake.landing, Key=left["Key"])


def test_what_the_job_wrote_is_as_the_oracle_says_and_stays_so_when_rebuilt(
    lake: TestLake, enriched: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    found = judged(lake, ledger=[one["event_id"] for one in enriched])
    assert found.ok, str(found)
    assert (found.objects, found.landed, found.enriched, found.duplicates, found.unknown_films) == (5, 13, 5, 3, 1)
    assert found.quarantined["conflicting event_id"] == 1
    lake.rebuild("2026-11")
    again = judged(lake)
    assert again.ok, str(again)
    assert again.hash == found.hash

    november = judged(lake, month="2026-11")
    assert november.ok, str(november)
    assert (november.objects, november.duplicates) == (3, 3)
    (tmp_path / "stream.ids").write_text("".join(one["event_id"] + "\n" for one in enriched))
    assert verify("--month", "2026-11", "--ledger", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert f"{november.hash:032x}" in out
    assert "3 acknowledged events, 0 lost" in out
    assert str(november.snapshots["streaming_films"]) in out


@pytest.mark.usefixtures("enriched")
def test_what_is_late_torn_old_or_gone_is_told(lake: TestLake, capsys: pytest.CaptureFixture[str]) -> None:
    """A new object waits for its run; one that landed before the last sweep and is in no table is lost."""
    late = lake.land(NIGHT + timedelta(hours=2), event(NIGHT))
    assert [(one.what, one.source_file) for one in judged(lake).lost] == [("nowhere, must be in streaming_films", late)]
    assert verify() == 0
    assert "not processed yet" in capsys.readouterr().out
    recount = Recount(boto3.Session(), lake.landing, running=True)
    recount._last_swept = datetime.now(UTC) + timedelta(hours=1)
    assert len(recount.verdict("2026-11").lost) == 1

    # A row with an older film_category is not counted as wrong.
    lake.set_films([1])
    lake.spark.sql(f"DELETE FROM {iceberg.identifier(STREAMING_FILMS)} WHERE film_id_streaming = 999")
    assert verify() == 1
    out = capsys.readouterr().out
    assert "torn: 2 of 3 lines are there" in out
    assert [line.split()[-2] for line in out.splitlines() if "of an older film_category" in line] == ["1"]
    lake.s3.delete_object(Bucket=lake.landing, Key=late)
    for gone in lake.s3.list_objects_v2(Bucket=lake.landing, Prefix="streaming/2026/10/")["Contents"]:
        lake.s3.delete_object(Bucket=lake.landing, Key=gone["Key"])
    assert verify("--month", "2026-10") == 1
    assert "2026-10 cannot be recounted: 2 objects of the tables are missing" in capsys.readouterr().out
