"""Which lines are one event: any order, batches delivered again, equal content (faults 15 to 17)."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from tests.faults import worlds
from tests.faults.catalogue import Fault, fault
from tests.faults.judging import empty, exact, sweep, take_all
from tests.glue.lake import TestLake

pytestmark = [pytest.mark.spark, pytest.mark.services]

HOUR = timedelta(hours=1)
WINDOW = timedelta(hours=48)


@fault(Fault.OUT_OF_ORDER)
def test_objects_and_lines_in_any_order_give_one_hash(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    edge = worlds.month_start(rng)
    months = [f"{edge - HOUR:%Y-%m}", f"{edge:%Y-%m}"]
    objects = {}
    for _ in range(4):
        time = edge + timedelta(seconds=rng.randint(-6 * 3600, 6 * 3600))
        lines = [*worlds.events(rng, time, rng.randint(1, 6)), worlds.spoiled(rng, time)[0]]
        objects[worlds.key(rng, time)] = lines
        if rng.random() < 0.5:
            objects[worlds.key(rng, time + HOUR)] = lines[: rng.randint(1, len(lines))]
    by_time = sorted(objects, key=lambda key: key[-56:-37])

    def land(keys: list[str], permuted: bool = False) -> None:
        for key in keys:
            lake.put(key, worlds.body(rng.sample(objects[key], len(objects[key])) if permuted else objects[key]))

    def reversed_then_rebuilt() -> None:
        for keys in (by_time[len(by_time) // 2 :], by_time[: len(by_time) // 2]):
            land(keys[::-1])
            lake.hourly()
        lake.rebuild(rng.choice(months))

    def rebuilt_then_hourly() -> None:
        chosen = rng.sample(by_time, len(by_time) // 2)
        land(chosen)
        for month in months:
            lake.rebuild(month)
        land([key for key in by_time if key not in chosen])
        lake.hourly()

    def lines_permuted() -> None:
        land(rng.sample(by_time, len(by_time)), permuted=True)
        take_all(lake, rng, *months)

    hashes = set()
    for way in (rng.choice((reversed_then_rebuilt, rebuilt_then_hourly)), lines_permuted):
        way()
        hashes.add(exact(lake).hash)
        empty(lake)
    assert len(hashes) == 1


@fault(Fault.REDELIVERED_BATCH)
def test_a_redelivered_batch_counts_once_whichever_copy_comes_first(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    edge = worlds.month_start(rng)
    first = edge + rng.choice((-20, -2, 3)) * HOUR
    batch = [worlds.event(rng, first, event_id=worlds.new_id(rng)) for _ in range(rng.randint(2, 8))]
    batch += [worlds.event(rng, first, event_id=None) for _ in range(2)]
    gaps = [timedelta(seconds=1), HOUR, WINDOW - timedelta(seconds=1), WINDOW, WINDOW + timedelta(seconds=1)]
    times = [first]
    for _ in range(rng.randint(1, 2)):
        times.append(times[-1] + rng.choice(gaps))
    copies: list[tuple[datetime, list[dict[str, str]]]] = [(first, batch)]
    copies += [(time, rng.sample(batch, rng.choice((len(batch), len(batch) // 2)))) for time in times[1:]]
    seen: dict[str, list[datetime]] = {}
    for time, events in copies:
        for one in events:
            if "event_id" in one:
                seen.setdefault(one["event_id"], []).append(time)
    duplicates = sum(later - earlier <= WINDOW for all_times in seen.values() for earlier, later in pairwise(all_times))

    runs: list[list[tuple[datetime, list[dict[str, str]]]]] = [[] for _ in range(rng.randint(1, 2))]
    for copy in copies:
        rng.choice(runs).append(copy)
    for landing in runs:
        for time, events in landing:
            lake.put(worlds.key(rng, time), worlds.body([worlds.line(one) for one in events]))
        sweep(lake)
    found = exact(lake)
    lines = sum(len(events) for _, events in copies)
    assert (found.enriched, found.quarantined) == (lines - duplicates, Counter(duplicate=duplicates))


@fault(Fault.EQUAL_CONTENT)
def test_events_of_equal_content_are_all_kept(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    time = worlds.month_start(rng) + 5 * HOUR
    same = worlds.event(rng, time, event_id=None)
    total = 0
    for _ in range(2):
        for _ in range(rng.randint(1, 2)):
            alike = [same] * rng.randint(2, 4) + [
                same | {"event_id": worlds.new_id(rng)} for _ in range(rng.randint(2, 4))
            ]
            rng.shuffle(alike)
            lake.put(worlds.key(rng, time), worlds.body([json.dumps(one).encode() for one in alike]))
            total += len(alike)
            time += timedelta(seconds=rng.choice((0, 1, 600)))
        lake.hourly()
    found = exact(lake)
    assert (found.enriched, found.quarantined.total()) == (total, 0)
