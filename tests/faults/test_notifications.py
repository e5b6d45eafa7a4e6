"""Faults 1 to 3: notifications of new CSV objects that come twice, late, in another order, or never."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

import csv_to_parquet
from lake_airflow import replication
from local.engines.waiting import wait_until
from tests.faults.catalogue import Fault, fault
from tests.faults.conversion import ALL_CONVERTED, sqs_batch, sweep
from tests.faults.workers import AFTER_PUBLISH, BEFORE_PUBLISH, Worker, worker
from tests.support.aws_services import Emulator
from tests.support.clean_zone import (
    KEY,
    PARQUET,
    Deployed,
    Zone,
    categories,
    function_environment,
    next_second,
    notification,
    sequencers,
)

pytestmark = pytest.mark.services


@fault(Fault.DUPLICATE_NOTIFICATION)
def test_an_event_that_comes_often_and_at_once_gives_one_object_with_the_same_bytes(
    deployed: Deployed, seed: int
) -> None:
    rng, zone = random.Random(seed), deployed.zone
    rows = range(rng.randrange(1, 3000))
    zone.put(categories(rows))
    wait_until(lambda: zone.parquet() is not None, 60, "no Parquet object was written")
    deployed.settle()
    first = zone.parquet()
    sequencer = zone.s3.head_object(Bucket=zone.clean, Key=PARQUET)["Metadata"]["source-sequencer"]
    event = notification(zone.landing, sequencer=rng.choice([sequencer, sequencer + "0", ""]))
    copies = rng.choice([1, 2, 10])
    together = {"Records": event["Records"] * rng.randrange(1, 4)}
    with ThreadPoolExecutor(copies) as pool:
        list(pool.map(deployed.send, [together] * copies))
    deployed.settle()
    assert zone.keys(zone.clean) == [PARQUET]
    assert zone.parquet() == first
    assert zone.ids() == list(rows)


@fault(Fault.OLD_NOTIFICATION_LAST)
def test_events_of_several_versions_in_any_order_end_with_the_newest_also_when_a_slow_worker_dies(
    zone: Zone, emulator: Emulator, seed: int
) -> None:
    """The slow worker has read an old version and is killed as soon as it has written: nobody mends what it wrote."""
    rng = random.Random(seed)
    versions = [range(rng.randrange(1, 500)) for _ in range(rng.randrange(3, 6))]
    events = [notification(zone.landing, sequencer=one) for one in sequencers(rng, len(versions))]
    slow = rng.randrange(len(versions) - 1)
    environment = function_environment(emulator, zone.clean)
    equal = rng.choice([None, *range(slow)])
    if equal is not None:  # the table is again as it was before the version that the slow worker has read
        versions[-1] = versions[equal]
    with worker_of_version(zone, environment, versions, events, slow, rng) as dying:
        for version in versions[slow + 1 :]:
            newest = zone.put(categories(version))
        others = [event for number, event in enumerate(events) if number != slow] * rng.choice([1, 2])
        rng.shuffle(others)
        assert csv_to_parquet.handler(sqs_batch(*others), None) == ALL_CONVERTED
        dying.go()  # writes, and is held again when S3 has answered
        dying.held()
        dying.kill()
    assert zone.made_of() == newest
    assert zone.ids() == list(versions[-1])
    first = zone.parquet()
    assert csv_to_parquet.handler(sqs_batch(events[slow], *others), None) == ALL_CONVERTED
    assert zone.parquet() == first
    assert zone.keys(zone.clean) == [PARQUET]


@contextmanager
def worker_of_version(
    zone: Zone,
    environment: dict[str, str],
    versions: list[range],
    events: list[dict[str, Any]],
    slow: int,
    rng: random.Random,
) -> Iterator[Worker]:
    """A worker that has read version ``slow`` and is about to write; some versions before it may be published."""
    for number in range(slow + 1):
        zone.put(categories(versions[number]))
        if number < slow and rng.random() < 0.5:
            csv_to_parquet.handler(sqs_batch(events[number]), None)
    with worker(environment, sqs_batch(events[slow]), BEFORE_PUBLISH, AFTER_PUBLISH) as held:
        held.held()
        yield held


@fault(Fault.OLD_NOTIFICATION_LAST)
def test_a_slow_worker_does_not_take_a_later_version_with_the_same_bytes_for_the_one_it_replaces(
    zone: Zone, emulator: Emulator, seed: int
) -> None:
    rng = random.Random(seed)
    same, other = (categories(range(start, start + rng.randrange(1, 500))) for start in (1, 1000))
    first, second, third = (notification(zone.landing, sequencer=one) for one in sequencers(rng, 3))
    zone.put(same)
    assert csv_to_parquet.handler(sqs_batch(first), None) == ALL_CONVERTED
    zone.put(other)
    with worker(function_environment(emulator, zone.clean), sqs_batch(second), BEFORE_PUBLISH, AFTER_PUBLISH) as slow:
        slow.held()
        newest = zone.put(same)
        assert csv_to_parquet.handler(sqs_batch(third), None) == ALL_CONVERTED
        published = zone.parquet()
        slow.go()
        slow.held()
        slow.kill()
    assert zone.made_of() == newest
    assert zone.parquet() == published


@fault(Fault.OLD_NOTIFICATION_LAST)
def test_two_workers_at_once_on_an_object_that_is_replaced_again_and_again_leave_the_newest(
    zone: Zone, seed: int
) -> None:
    rng = random.Random(seed)
    versions = [range(rng.randrange(1, 2000)) for _ in range(rng.randrange(2, 5))]
    events = [notification(zone.landing, sequencer=one) for one in sequencers(rng, len(versions))]
    answers = []
    with ThreadPoolExecutor(4) as pool:
        for version, event in zip(versions, events, strict=True):
            newest = zone.put(categories(version))
            answers += [pool.submit(csv_to_parquet.handler, sqs_batch(event), None) for _ in range(2)]
            time.sleep(rng.uniform(0, 0.1))  # where in its work the next version meets them
    assert [answer.result() for answer in answers] == [ALL_CONVERTED] * len(answers)
    assert zone.made_of() == newest
    assert zone.ids() == list(versions[-1])


@fault(Fault.OLD_NOTIFICATION_LAST)
def test_a_late_event_of_a_file_that_a_shorter_reload_left_over_brings_no_stale_rows(
    deployed: Deployed, seed: int
) -> None:
    rng, zone = random.Random(seed), deployed.zone
    names = [f"LOAD{number:08X}.csv" for number in range(1, rng.randrange(4, 20))]
    kept = rng.randrange(1, len(names))
    began = datetime.now(UTC).isoformat()
    for number, name in enumerate(names):
        zone.put(categories([number]), f"dms/sakila/category/{name}")
    sweep(began)
    assert zone.ids() == list(range(len(names)))
    next_second()
    again = datetime.now(UTC).isoformat()
    for number, name in enumerate(names[:kept]):
        zone.put(categories([1000 + number]), f"dms/sakila/category/{name}")
    sweep(again)
    replication.remove_superseded(again)
    late = [notification(zone.landing, f"dms/sakila/category/{name}", "F") for name in names[kept:]]
    deployed.send(*rng.sample(late, len(late)))
    deployed.settle()
    assert zone.ids() == [1000 + number for number in range(kept)]
    assert deployed.depth("CsvDeadLetterQueue") == 0
    assert zone.keys(zone.landing) == [f"dms/sakila/category/{name}" for name in names[:kept]]
    assert KEY in zone.keys(zone.landing)


@fault(Fault.LOST_NOTIFICATION)
def test_csv_objects_whose_event_was_lost_are_found_by_the_sweep(deployed: Deployed, seed: int) -> None:
    rng, zone = random.Random(seed), deployed.zone
    rows = {f"dms/sakila/category/LOAD{number:08X}.csv": number for number in range(1, rng.randrange(3, 8))}
    lost = rng.sample(sorted(rows), rng.randrange(1, len(rows)))
    began = datetime.now(UTC).isoformat()
    for key, number in rows.items():
        if key not in lost:
            zone.put(categories([number]), key)
    deployed.silence()
    for key in lost:
        zone.put(categories([rows[key]]), key)
    sweep(began)
    assert zone.ids() == sorted(rows.values())
    assert deployed.depth("CsvDeadLetterQueue") == 0
