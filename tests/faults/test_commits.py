"""Runs that are killed, repeated, or concurrent (faults 7 to 11)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from datalake.tables import QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark import iceberg
from local.engines.waiting import wait_until
from tests.faults import worlds
from tests.faults.catalogue import Fault, fault
from tests.faults.commits import PowerCut, commits
from tests.faults.judging import exact, sweep, take_all
from tests.faults.spark_process import kill, reading, running_job, state
from tests.glue.lake import TestLake

pytestmark = [pytest.mark.spark, pytest.mark.services]

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# A run that commits to three tables writes at least this many objects: each time data, manifest, list, metadata.
OBJECTS_OF_A_RUN = 12


def land_some(lake: TestLake, rng: Random, time: datetime) -> list[str]:
    """Land an object of good and bad lines, one of bad lines only, and one that repeats the first; returns the keys."""
    events = [worlds.line(worlds.event(rng, time, event_id=worlds.new_id(rng))) for _ in range(rng.randint(2, 30))]
    bad = [worlds.spoiled(rng, time)[0] for _ in range(rng.randint(1, 5))]
    mixed = [*events, *bad]
    rng.shuffle(mixed)
    contents = [mixed, bad, rng.sample(events, rng.randint(1, len(events)))]
    places = [(time + n * MINUTE, worlds.body(lines)) for n, lines in enumerate(contents)]
    rng.shuffle(places)
    return [lake.put(worlds.key(rng, when), body) for when, body in places]


@fault(Fault.SPARK_KILLED_WRITING, kills_spark=True)
def test_spark_killed_at_any_moment_is_never_seen_and_made_good_by_the_next_run(
    lake: TestLake, seed: int, tmp_path: Path
) -> None:
    rng = Random(seed)
    time = worlds.month_start(rng) + timedelta(days=rng.randint(1, 20))
    land_some(lake, rng, time)
    lake.hourly()
    old, written = state(), _objects(lake)
    land_some(lake, rng, time + rng.choice((3 * MINUTE - HOUR, timedelta(seconds=30), HOUR)))  # before, among, after
    mode = rng.choice((["--mode", "hourly"], ["--mode", "rebuild", "--month", f"{time:%Y-%m}"]))
    killed_at = rng.randint(1, OBJECTS_OF_A_RUN - 1)
    with reading() as seen, running_job(lake, tmp_path, *mode) as job:
        wait_until(
            lambda: _objects(lake) >= written + killed_at or job.poll() is not None, 120, "the job wrote nothing", 0.01
        )
        assert job.returncode is None, (tmp_path / "job.log").read_text()[-3000:]
        kill(job)
        take_all(lake, rng, f"{time:%Y-%m}")
    exact(lake)
    new = state()
    assert seen.error is None
    for table in ("films", "quarantine"):
        states = {frozenset(_of(table, one).items()) for one in seen.states}
        assert states <= {frozenset(_of(table, one).items()) for one in (old, new)}
        assert len(states) == 2


def _objects(lake: TestLake) -> int:
    """Objects under the curated tables' folders."""
    pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.curated)
    return sum(page["KeyCount"] for page in pages)


def _of(table: str, rows: Counter[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return {of: count for of, count in rows.items() if of[0] == table}


@fault(Fault.SPARK_KILLED_COMMITTING)
def test_a_run_killed_between_its_commits_is_made_good_by_the_next(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    edge = worlds.month_start(rng)
    months = [f"{edge - HOUR:%Y-%m}", f"{edge:%Y-%m}"]
    if rng.random() < 0.3:
        land_some(lake, rng, edge - timedelta(hours=3))
        lake.hourly()
    for time in (edge - 2 * HOUR, edge + HOUR):
        land_some(lake, rng, time)
    for _ in range(rng.choice((1, 1, 2))):  # a second time while the first is being repaired
        table, nth = rng.choice((QUARANTINE, STREAMING_FILMS, RECONCILIATION)).name, rng.choice((1, 1, 2))
        with commits(after=_power_cut(table, nth)) as seen:
            try:
                take_all(lake, rng, *months)
            except PowerCut:
                assert [name for _, name in seen.made].count(table) == nth
        if rng.random() < 0.3:
            land_some(lake, rng, edge + timedelta(seconds=rng.randint(2 * 3600, 5 * 3600)))
    take_all(lake, rng, *months)
    exact(lake)


def _power_cut(table: str, nth: int) -> Callable[[str], None]:
    """Ends the run right after the nth commit to the table."""
    seen: Counter[str] = Counter()

    def after(committed: str) -> None:
        seen[committed] += 1
        if seen[table] == nth:
            raise PowerCut

    return after


@fault(Fault.SAME_MONTH_AGAIN)
def test_the_same_month_three_times_gives_one_hash(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    time = worlds.month_start(rng) + timedelta(days=10)
    for one in worlds.world(rng, time, objects=5):
        lake.put(one.key, one.body)
    hashes = set()
    for _ in range(3):
        reports = take_all(lake, rng, f"{time:%Y-%m}")
        found = exact(lake)
        hashes.add(found.hash)
        assert sum(report.landed for report in reports) in (0, found.landed)
    assert len(hashes) == 1


@fault(Fault.TWO_WRITERS)
def test_of_two_writers_at_one_moment_one_is_refused_reads_afresh_and_commits(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    time = worlds.month_start(rng) + timedelta(days=3)
    month = f"{time:%Y-%m}"
    if rng.random() < 0.5:
        land_some(lake, rng, time - HOUR)
        lake.hourly()
    land_some(lake, rng, time)
    meeting, met = threading.Barrier(2, timeout=120), threading.local()

    def meet(_: str) -> None:
        if not getattr(met, "already", False):
            met.already = True
            meeting.wait()

    ways: list[Callable[[TestLake], object]] = [TestLake.hourly, sweep, lambda one: one.rebuild(month)]
    failed: list[BaseException] = []

    def write(way: Callable[[TestLake], object]) -> None:
        try:
            way(TestLake(lake.spark.newSession(), lake.s3, lake.landing, lake.curated))
        except BaseException as error:  # noqa: BLE001
            failed.append(error)
            meeting.abort()

    with commits(before=meet) as seen:
        writers = [threading.Thread(target=write, args=(rng.choice(ways),), name=f"writer {n}") for n in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    # Here the two are one process, whose sessions share frames that are equal: when one gives its frame up while the
    # other still reads it, Spark makes another one, which neither of them releases.
    for frame in lake.spark.sparkContext._jsc.getPersistentRDDs().values():
        frame.unpersist()
    assert not failed
    refused = Counter(who for who, _ in seen.refused)
    assert 1 <= refused.total() <= 2 * (iceberg.ATTEMPTS - 1)
    assert max(refused.values()) < iceberg.ATTEMPTS
    exact(lake)


@fault(Fault.LANDING_MEANWHILE)
def test_objects_that_land_while_a_job_runs_are_left_to_the_next(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    edge = worlds.month_start(rng)
    months = [f"{edge - HOUR:%Y-%m}", f"{edge:%Y-%m}"]
    time = edge + rng.choice((-3, 3)) * HOUR
    first = land_some(lake, rng, time)
    copied = lake.s3.get_object(Bucket=lake.landing, Key=first[0])["Body"].read()
    late: list[str] = []

    def lands(_: str) -> None:
        if not late:  # after the listing, before the first commit: earlier and later names, and a copy of what is taken
            when = time + timedelta(seconds=rng.randint(-2 * 3600, 2 * 3600))
            late.extend(land_some(lake, rng, when))
            late.append(lake.put(worlds.key(rng, when), copied))

    with commits(before=lands):
        take_all(lake, rng, f"{time:%Y-%m}")
    assert {file for _, file in state()} == set(first)
    take_all(lake, rng, *months)
    exact(lake)
