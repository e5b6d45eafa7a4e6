"""Past months: named as Firehose names objects, the same at every run, never the current month, ids in the ledger."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from datalake.events import Event, parse_object
from datalake.landing import parse_key
from datalake.names import Lake
from kdg.generator import Event as Made
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


def test_objects_are_what_firehose_would_have_written() -> None:
    made = list(history.objects("2026-02", 20_000, 1, "events"))
    assert len(made) == 28
    for key, events in made:
        landed = parse_key(key)
        assert (landed.month.key, landed.series) == ("2026-02", "streaming/2026/02/events-1-")
        assert landed.time is not None
        times = [datetime.fromisoformat(json.loads(event.data)["timestamp"]) for event in events]
        assert times == sorted(times)
        assert landed.time == times[-1], "an object is named by its arrival: nothing in it is younger"
        assert times[0].astimezone(UTC).date() == landed.time.date()
    assert [key for key, _ in made] == sorted(key for key, _ in made)
    assert len({event.event_id for _, events in made for event in events}) == 20_000


def test_every_line_of_every_month_is_a_good_event() -> None:
    for month in ("2024-02", "2025-12", "2026-01"):
        lines = [
            line
            for key, events in history.objects(month, 2_000, 1, "events")
            for line in parse_object(key, b"".join(event.data for event in events))
        ]
        assert len(lines) == 2_000
        assert {type(line.outcome) for line in lines} == {Event}
        assert {line.outcome.event_time[:7] for line in lines} == {month}  # type: ignore[union-attr]


def test_a_large_sending_is_cut_at_the_streams_buffer_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert history.OBJECT_BYTES == 1024 * 1024
    monkeypatch.setattr(history, "OBJECT_BYTES", 10_000)
    arrivals: dict[datetime | None, list[int]] = {}
    keys = []
    for key, events in history.objects("2026-02", 20_000, 1, "events"):
        keys.append(key)
        arrivals.setdefault(parse_key(key).time, []).append(sum(len(event.data) for event in events))
    assert len(arrivals) == 28
    assert max(len(sizes) for sizes in arrivals.values()) > 2
    assert all(10_000 <= size < 10_300 for sizes in arrivals.values() for size in sizes[:-1])
    assert len(set(keys)) == len(keys)


def test_seed_month_and_number_decide() -> None:
    def made(month: str, events: int, seed: int) -> list[tuple[str, list[Made]]]:
        return list(history.objects(month, events, seed, "events"))

    assert made("2026-02", 100, 1) == made("2026-02", 100, 1)
    ids = [
        {event.event_id for _, events in made(*given) for event in events}
        for given in (("2026-02", 100, 1), ("2026-03", 100, 1), ("2026-02", 101, 1), ("2026-02", 100, 2))
    ]
    assert len(set().union(*ids)) == 401


def test_any_machine_draws_the_same() -> None:
    """Recorded once: same seed, same names, same events, same ids."""
    digest = hashlib.sha256()
    for key, events in history.objects("2026-02", 5_000, 1, "events"):
        digest.update(b"".join([key.encode(), *(event.data for event in events)]))
    assert digest.hexdigest() == "1cc9072bbbfe5d50df9e2b83ef2662fa2a4fc451e49487204241c9a65e42ffed"


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
    assert list(months.values()) == [360, 400]
    assert Counter(parse_key(key).month.key for key, body in first.items() for _ in body.splitlines()) == months
    assert f"{datetime.now(UTC):%Y-%m}" not in months
    assert said[-1] == f"{list(months)[-1]}: 400 of 400 synthetic events"
    assert history.lay_down(emulator.settings, 2, 400, said.append) == months
    assert landed() == first
    ledgers = sorted((emulator.settings.home / "ledgers").glob("history-*"))
    assert [path.name for path in ledgers] == [f"history-{month}-1-{size}.ids" for month, size in months.items()]
    in_ledger = [event_id for path in ledgers for event_id in path.read_text().split()]
    in_objects = [json.loads(line)["event_id"] for body in first.values() for line in body.splitlines()]
    assert sorted(in_ledger) == sorted(in_objects)
    assert len(set(in_objects)) == 760


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
