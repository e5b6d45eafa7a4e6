"""Copies of one event in several objects: which of them count, in hourly runs and in rebuilds alike."""

from __future__ import annotations

import json
import random
from datetime import timedelta

import pytest

from datalake.landing import parse_key
from tests.glue.lake import TestLake, at, event, key, lines

pytestmark = [pytest.mark.spark, pytest.mark.services]

NOON = at("2026-11-10 12:00:00")


def test_redelivered_events_are_duplicates_wherever_the_first_copy_is(lake: TestLake) -> None:
    edge = at("2026-10-31 23:00:00")
    twice, in_one, without_id = event(edge), event(edge), event(edge, event_id=None)
    first = lake.land(edge, twice, in_one, in_one, without_id, without_id)
    assert lake.hourly().as_dict()["duplicates"] == 1
    again = lake.land(edge + timedelta(hours=3), twice, without_id)
    report = lake.hourly()
    assert (report.months, report.enriched, dict(report.reasons)) == ({"2026-11"}, 1, {"duplicate": 1})
    duplicates = {(row.source_file, row.source_line, row.raw) for row in lake.quarantine().collect()}
    assert duplicates == {(first, 3, json.dumps(in_one)), (again, 1, json.dumps(twice))}
    assert lake.same_after_rebuild("2026-10", "2026-11")


def test_one_id_with_different_content_is_quarantined_as_such(lake: TestLake) -> None:
    one = event(NOON)
    lake.land(NOON, one, one | {"state": "Iowa"})
    lake.hourly()
    lake.land(NOON + timedelta(hours=1), one | {"state": "Ohio"}, one | {"state": "Iowa"})
    lake.hourly()
    assert lake.reasons() == {"conflicting event_id": 2, "duplicate": 1}
    assert [row.state for row in lake.films().collect()] == ["Utah"]
    assert lake.same_after_rebuild("2026-11")


def test_copies_more_than_48_hours_apart_both_count(lake: TestLake) -> None:
    one = event(NOON)
    for hours in (0, 40, 80, 129):  # the third is near the second, which counts for nothing itself
        lake.land(NOON + timedelta(hours=hours), one)
        lake.hourly()
    assert (lake.films().count(), lake.reasons()) == (2, {"duplicate": 2})
    assert lake.same_after_rebuild("2026-11")


@pytest.mark.parametrize("late", ["2026-11-01 00:10:00", "2026-10-31 23:50:00"])
def test_a_late_first_copy_takes_the_place_of_the_one_that_counted(lake: TestLake, late: str) -> None:
    one = event(at(late))
    counted = lake.land(at("2026-11-01 01:00:00"), one, event(at(late)))
    lake.hourly()
    first = lake.land(at(late), one)
    lake.hourly()
    assert {row.source_file for row in lake.films().where(f"event_id = '{one['event_id']}'").collect()} == {first}
    assert [(row.source_file, row.reason) for row in lake.quarantine().collect()] == [(counted, "duplicate")]
    assert lake.films().count() == 2
    assert lake.same_after_rebuild("2026-10", "2026-11")


def test_hourly_in_any_order_and_rebuilds_give_the_same_rows(lake: TestLake) -> None:
    chosen = random.Random(1)
    start = at("2026-10-30 12:00:00")
    times = sorted(start + timedelta(seconds=chosen.randrange(4 * 86400)) for _ in range(24))
    events = [event(start, event_id=None) if n % 5 == 0 else event(start) for n in range(30)]
    bodies = {
        key(time): lines(*(chosen.choice(events) | {"state": chosen.choice(["Utah", "Iowa"])} for _ in range(4)))
        for time in times
    }
    landed = list(bodies)
    chosen.shuffle(landed)
    for batch in (landed[:8], landed[8:16], landed[16:]):
        for one in batch:
            lake.put(one, bodies[one])
        lake.run().take_new(everything=True)  # the order is beyond what a day's look-back finds
    assert lake.films().count() + lake.quarantine().count() == 96
    assert {parse_key(name).month.key for name in landed} == {"2026-10", "2026-11"}
    assert lake.reasons().keys() == {"duplicate", "conflicting event_id"}
    assert lake.same_after_rebuild("2026-11", "2026-10")
