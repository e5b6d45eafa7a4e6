"""Events that come late, at a month's edge, or from an impossible time (faults 12 to 14)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest

from tests.faults import worlds
from tests.faults.catalogue import Fault, fault
from tests.faults.judging import exact, take_all
from tests.glue.lake import TestLake

pytestmark = [pytest.mark.spark, pytest.mark.services]

Row = tuple[str, str, str | None, str, int]  # partition_0, partition_1, event_time, source_file, source_line


def rows(lake: TestLake) -> set[Row]:
    """Where each event of streaming_films is, and its time."""
    columns = ("partition_0", "partition_1", "event_time", "source_file", "source_line")
    return {tuple(row) for row in lake.films().select(*columns).collect()}


def row(folder: datetime, time: datetime, key: str, number: int) -> Row:
    """An event of ``time`` that landed in the folder of that month."""
    utc = time.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat()
    return f"{folder:%Y}", f"{folder:%m}", f"{utc}Z", key, number


@fault(Fault.LATE_EVENT)
def test_an_event_of_an_earlier_month_stays_in_its_arrival_month(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    arrived = worlds.month_start(rng) + timedelta(seconds=rng.randrange(27 * 86400))
    expected = set()
    for _ in range(rng.randint(1, 3)):
        arrived += timedelta(minutes=rng.randint(1, 60))
        ages = [timedelta(seconds=rng.randrange(400 * 86400)) for _ in range(5)] + [timedelta(days=31)]
        times = [(arrived - age).astimezone(rng.choice(worlds.ZONES)) for age in ages]
        lines = [worlds.line(worlds.event(rng, arrived, timestamp=time.isoformat())) for time in times]
        key = lake.put(worlds.key(rng, arrived), worlds.body(lines))
        expected |= {row(arrived, time, key, number) for number, time in enumerate(times, start=1)}
    take_all(lake, rng, *{f"{year}-{month}" for year, month, *_ in expected})
    assert rows(lake) == expected
    exact(lake)


@fault(Fault.MONTH_EDGE)
def test_at_a_months_edge_the_time_is_utc_and_the_partition_the_objects(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    edge = worlds.month_start(rng)
    zones = [timezone(timedelta(minutes=minutes)) for minutes in (0, 60, *rng.sample(range(-720, 840, 15), 2))]
    skews = [-1, 0, 1, *(rng.randint(-900, 900) for _ in range(7))]  # seconds: 23:59:59, 00:00:00, 00:00:01, ...
    expected = set()
    for folder, delivered in (
        (edge - timedelta(days=1), edge - timedelta(seconds=rng.randint(1, 900))),
        (edge - timedelta(days=1), edge + timedelta(seconds=rng.randint(0, 900))),  # its oldest record came before
        (edge, edge + timedelta(seconds=rng.randint(0, 900))),
    ):
        times = [(edge + timedelta(seconds=skew)).astimezone(zone) for zone in zones for skew in skews]
        rng.shuffle(times)
        lines = [worlds.line(worlds.event(rng, delivered, timestamp=time.isoformat())) for time in times]
        key = lake.put(worlds.key(rng, delivered, folder=f"{folder:%Y/%m}"), worlds.body(lines))
        expected |= {row(folder, time, key, number) for number, time in enumerate(times, start=1)}
    take_all(lake, rng, f"{edge - timedelta(days=1):%Y-%m}", f"{edge:%Y-%m}")
    assert rows(lake) == expected
    exact(lake)


@fault(Fault.IMPOSSIBLE_TIME)
def test_an_event_beyond_the_bounds_is_quarantined_and_one_at_them_is_kept(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    # The object's own time is what counts: it may be long past, or ahead of the clock.
    named = worlds.month_start(rng) + timedelta(seconds=rng.randrange(27 * 86400), days=rng.choice((-3000, 0, 2000)))
    latest, earliest, tick = named + timedelta(hours=1), named - timedelta(days=400), timedelta(microseconds=1)
    second, ages = timedelta(seconds=1), [timedelta(days=rng.randint(0, 4000)) for _ in range(3)]
    times = [
        *[(time, None) for time in (latest, latest - second, earliest, earliest + second, named)],
        *[(time, "too late") for time in (latest + tick, latest + second, *(latest + second + age for age in ages))],
        *[(time, "too early") for time in (earliest - tick, earliest - second, *(earliest - second - a for a in ages))],
    ]
    rng.shuffle(times)
    written = [time.astimezone(rng.choice(worlds.ZONES)).isoformat() for time, _ in times]
    lines = [worlds.line(worlds.event(rng, named, timestamp=text)) for text in written]
    key = lake.put(worlds.key(rng, named), worlds.body(lines))
    take_all(lake, rng, f"{named:%Y-%m}")
    assert rows(lake) == {row(named, time, key, n) for n, (time, reason) in enumerate(times, start=1) if not reason}
    reasons = {bad.source_line: bad.reason for bad in lake.quarantine().collect()}
    assert reasons == {n: reason for n, (_, reason) in enumerate(times, start=1) if reason}
    exact(lake)
