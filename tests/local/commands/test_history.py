"""Past months: named as Firehose names objects, the same at every run, never the current month, ids in the ledger."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import given
from hypothesis import strategies as st

from datalake.events import TOO_LATE
from datalake.landing import parse_key
from datalake.names import Lake
from local.commands import cli, history
from local.settings import ENVIRONMENT, SUFFIX
from tests.support.aws_services import Emulator, emulator, free_settings  # noqa: F401

LAKE = Lake(ENVIRONMENT, SUFFIX)


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        ("2026-11-23T05:00:00+00:00", ["2026-08", "2026-09", "2026-10"]),
        ("2026-03-31T23:59:59+00:00", ["2025-12", "2026-01", "2026-02"]),
        ("2026-01-01T00:30:00+02:00", ["2025-09", "2025-10", "2025-11"]),  # still December in UTC
    ],
)
def test_past_months_end_before_the_current_one(today: str, expected: list[str]) -> None:
    assert history.past_months(3, datetime.fromisoformat(today)) == expected


@given(month=st.dates(date(1970, 1, 1), date(9999, 11, 30)).map("{:%Y-%m}".format), events=st.integers(1, 500))
def test_times_lie_in_their_month_in_stretches_of_a_minute(month: str, events: int) -> None:
    found = list(history.stretches(month, events, seed=1))
    assert sum(map(len, found)) == events
    assert len(found) == min(20, events)
    assert all(stretch[-1] - stretch[0] < 60 for stretch in found)
    assert all(one[-1] < other[0] for one, other in pairwise(found))
    assert {f"{datetime.fromtimestamp(time, UTC):%Y-%m}" for stretch in found for time in stretch} == {month}


def test_objects_are_what_firehose_would_have_written() -> None:
    made = [item for stretch in history.objects("2026-02", 20_000, 1, "events") for item in stretch]
    assert len(made) == 20
    for key, events in made:
        landed = parse_key(key)
        assert (landed.month.key, landed.series) == ("2026-02", "streaming/2026/02/events-1-")
        assert landed.time is not None
        times = [datetime.fromisoformat(json.loads(event.data)["timestamp"]) for event in events]
        assert landed.time == times[0]
        assert max(times) - landed.time < TOO_LATE
    assert len({event.event_id for _, events in made for event in events}) == 20_000


def test_large_months_are_cut_at_a_megabyte() -> None:
    stretch = next(history.objects("2026-02", 400_000, 1, "events"))
    sizes = [sum(len(event.data) for event in events) for _, events in stretch]
    assert len(sizes) > 1
    assert all(1024 * 1024 <= size < 1024 * 1024 + 300 for size in sizes[:-1])
    assert len({key for key, _ in stretch}) == len(stretch)


def test_seed_month_and_number_decide() -> None:
    def made(month: str, events: int, seed: int) -> list[object]:
        return list(history.objects(month, events, seed, "events"))

    assert made("2026-02", 100, 1) == made("2026-02", 100, 1)
    ids = [
        {event.event_id for stretch in made(*given) for _, events in stretch for event in events}  # type: ignore[attr-defined]
        for given in (("2026-02", 100, 1), ("2026-03", 100, 1), ("2026-02", 101, 1), ("2026-02", 100, 2))
    ]
    assert len(set().union(*ids)) == 401


@pytest.mark.services
def test_laid_down_twice_it_is_the_same(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=LAKE.landing_bucket)

    def landed() -> dict[str, bytes]:
        found = s3.list_objects_v2(Bucket=LAKE.landing_bucket).get("Contents", [])
        return {o["Key"]: s3.get_object(Bucket=LAKE.landing_bucket, Key=o["Key"])["Body"].read() for o in found}

    said: list[str] = []
    months = history.lay_down(emulator.settings, 2, 400, said.append)
    first = landed()
    assert len(first) == 40
    assert {parse_key(key).month.key for key in first} == set(months)
    assert f"{datetime.now(UTC):%Y-%m}" not in months
    assert said[-1] == f"{months[-1]}: 400 of 400 synthetic events"
    assert history.lay_down(emulator.settings, 2, 400, said.append) == months
    assert landed() == first
    ledgers = sorted((emulator.settings.home / "ledgers").glob("history-*"))
    assert [path.name for path in ledgers] == [f"history-{month}-1-400.ids" for month in months]
    in_ledger = [event_id for path in ledgers for event_id in path.read_text().split()]
    in_objects = [json.loads(line)["event_id"] for body in first.values() for line in body.splitlines()]
    assert sorted(in_ledger) == sorted(in_objects)
    assert len(set(in_objects)) == 800


def test_a_bucket_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = free_settings(tmp_path)
    with pytest.raises((BotoCoreError, ClientError)):
        history.lay_down(settings, 1, 1, lambda _: None)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_PORT", str(settings.port))
    monkeypatch.setattr(history.control, "check_up", lambda _: None)
    assert cli.main(["history", "--months", "1", "--events", "1"]) == 1
    assert "the landing bucket cannot be written: Could not connect" in capsys.readouterr().err
