"""Upkeep of the tables: fewer files and the same rows, also beside writers that commit in the middle of it."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from datalake.run_reports import MaintainLakeReport, TableMaintenance
from datalake.tables import FILM_CATEGORY, QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark import landed_lines
from datalake_spark.iceberg import identifier, retried
from datalake_spark.table_maintenance import (
    Retention,
    compact,
    compact_before,
    maintain,
)
from glue import maintain_lake
from local.engines.waiting import wait_until
from local.settings import ROOT
from oracle.recount import verdict
from tests.glue.lake import TestLake, at, event, key, lines
from tests.support.faulty_proxy import CUT, Plan, faulty_proxy

NOON = at("2026-11-10 12:00:00")
LONG_AGO = NOON - timedelta(days=5)
BEFORE = NOON - timedelta(hours=72)  # from here on hourly runs after an object of noon may open files
PARTNER = "partner's-1-"  # a name that SQL must not stumble over
KEEP = Retention(timedelta(days=7), 10, timedelta(days=3))


@pytest.mark.parametrize("wrong", [["--orphan_days", "0"], ["--snapshot_days", "0"], ["--keep_snapshots", "0"], []])
def test_arguments_that_could_remove_what_is_in_use_are_refused(wrong: list[str]) -> None:
    own = ["--curated_bucket", "c", "--JOB_RUN_ID", "jr_1"]
    assert maintain_lake.parse_arguments([*own, "--TempDir", "s3://t"]).orphan_days == 3
    with pytest.raises(SystemExit):
        maintain_lake.parse_arguments([*own, *wrong] if wrong else own[:2])


@pytest.fixture
def small_files(lake: TestLake, monkeypatch: pytest.MonkeyPatch) -> TestLake:
    """A lake with eight files of one object each: five are wholly before ``BEFORE``, one is of this noon.

    Each object has a bad line, so the quarantine has as many files.
    """
    for n in (-5, -4, -3, -2, -1, 0, 1, 36):
        time = BEFORE + timedelta(hours=2 * n)
        lake.put(key(time, PARTNER), lines(event(time)) + b"bad\n")
    with monkeypatch.context() as patch:
        patch.setattr(landed_lines, "TASK_BYTES", 1)  # a file an object
        lake.hourly()
    return lake


def upkeep(lake: TestLake, keep: Retention = KEEP) -> TableMaintenance:
    """Maintain streaming_films as the job does."""
    return maintain(lake.spark, lake.s3, STREAMING_FILMS, compact_before(lake.spark, NOON), keep)


def put_together(lake: TestLake) -> None:
    """The first step of upkeep, on every table of events."""
    before = compact_before(lake.spark, NOON)
    assert before
    for table in (STREAMING_FILMS, QUARANTINE, RECONCILIATION):
        retried(functools.partial(compact, lake.spark, table, before))


def stored(lake: TestLake, prefix: str) -> set[str]:
    """URLs of the objects under a prefix of the curated bucket."""
    pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.curated, Prefix=prefix)
    return {f"s3://{lake.curated}/{entry['Key']}" for page in pages for entry in page.get("Contents", [])}


def data_urls(lake: TestLake) -> set[str]:
    """URLs of the data files of streaming_films now."""
    return {row.file_path for row in lake.spark.table(f"{identifier(STREAMING_FILMS)}.files").collect()}


@pytest.mark.spark
@pytest.mark.services
def test_old_small_files_become_one_and_hourly_runs_open_no_more_for_it(
    small_files: TestLake, aws_environment: dict[str, str]
) -> None:
    lake = small_files
    before, files = (lake.hash(), lake.reasons()), data_urls(lake)
    done = upkeep(lake)
    assert (lake.hash(), lake.reasons()) == before
    assert (done["before"]["files"], done["after"]["files"]) == (8, 4)
    assert [(commit["rows_before"], commit["rows_after"]) for commit in done["commits"]] == [(8, 8)]
    (compacted,) = data_urls(lake) - files
    put_together(lake)
    assert lake.data_files() == lake.spark.table(f"{identifier(QUARANTINE)}.files").count() == 4
    assert len(files & data_urls(lake)) == 3  # nothing was left to do

    # As late as an hourly run takes: it looks for copies 48 hours further back.
    lake.land(NOON - timedelta(hours=24), stream=PARTNER)
    with faulty_proxy(aws_environment["AWS_ENDPOINT_URL"]) as proxy:
        session = lake.spark.newSession()
        session.conf.set("spark.sql.catalog.glue_catalog.s3.endpoint", proxy.url)
        report = TestLake(session, lake.s3, lake.landing, lake.curated).hourly()
        opened = {f"s3:/{one.path}" for one in proxy.exchanges if one.method == "GET"} & data_urls(lake)
    assert report.landed == 1
    assert opened <= files
    assert compacted not in opened
    assert verdict(boto3.Session(), lake.landing).ok


def meanwhile(
    lake: TestLake, url: str, first: Callable[[TestLake], object], second: Callable[[TestLake], object]
) -> None:
    """Run ``second`` whole while ``first`` has written its files and is about to commit."""
    reached, go = threading.Event(), threading.Event()

    def gate(_method: str, _path: str, action: str) -> bool:
        if action.endswith(".UpdateTable") and not reached.is_set():
            reached.set()
            assert go.wait(120)
        return False

    with faulty_proxy(url, Plan(random.Random(0), applies=gate)) as proxy, ThreadPoolExecutor(1) as pool:
        session = lake.spark.newSession()
        session.conf.set("spark.sql.catalog.glue_catalog.glue.endpoint", proxy.url)
        running = pool.submit(first, TestLake(session, lake.s3, lake.landing, lake.curated))
        try:
            assert reached.wait(60)
            second(lake)
        finally:
            go.set()
        running.result(120)


def hourly(lake: TestLake) -> object:
    return lake.hourly()


def sweep(lake: TestLake) -> object:
    """Takes what no hourly run looks for any more: the month is written anew when it lies inside a file's bounds."""
    run = lake.run()
    run.take_new(everything=True)
    return run.report


def rebuild(lake: TestLake) -> object:
    return lake.rebuild("2026-11")


@pytest.mark.spark
@pytest.mark.services
@pytest.mark.parametrize(
    "steps",
    [(put_together, hourly), (put_together, rebuild), (sweep, put_together), (rebuild, put_together)],
    ids=["compaction-hourly", "compaction-rebuild", "sweep-compaction", "rebuild-compaction"],
)
def test_no_row_is_lost_or_doubled_when_writer_and_upkeep_commit_in_each_others_middle(
    small_files: TestLake, aws_environment: dict[str, str], steps: Sequence[Callable[[TestLake], object]]
) -> None:
    lake = small_files
    time = BEFORE - timedelta(hours=5) if sweep in steps else NOON + timedelta(hours=1)
    lake.land(time, stream=PARTNER)
    meanwhile(lake, aws_environment["AWS_ENDPOINT_URL"], *steps)
    found = verdict(boto3.Session(), lake.landing)
    assert found.ok, str(found)
    assert (found.enriched, found.quarantined.total()) == (9, 8)


def start_job(lake: TestLake, catalog_url: str, settings_file: Path) -> subprocess.Popen[bytes]:
    """The job in a process group of its own, with the settings of the test's session but for the catalog's address."""
    given = lake.spark.sparkContext.getConf().getAll()
    settings = {name: value for name, value in given if not name.startswith(("spark.app", "spark.driver.port"))}
    settings["spark.sql.catalog.glue_catalog.glue.endpoint"] = catalog_url
    settings_file.write_text(json.dumps(settings))
    return subprocess.Popen(
        [sys.executable, "-c", _JOB, str(settings_file), lake.curated],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "include"), str(ROOT)])},
        start_new_session=True,
    )


@pytest.mark.spark
@pytest.mark.services
def test_a_killed_upkeep_changes_nothing_and_what_it_leaves_is_removed_in_time(
    small_files: TestLake, aws_environment: dict[str, str], tmp_path: Path
) -> None:
    lake = small_files
    before = lake.hash()
    named = stored(lake, "streaming_films/")
    reached, go = threading.Event(), threading.Event()

    def gate(_method: str, _path: str, action: str) -> bool:
        if action.endswith(".UpdateTable"):
            reached.set()
            assert go.wait(60)
            return True
        return False

    never_sent = Plan(random.Random(0), {CUT: 1.0}, applies=gate)
    with faulty_proxy(aws_environment["AWS_ENDPOINT_URL"], never_sent) as proxy:
        job = start_job(lake, proxy.url, tmp_path / "settings.json")
        try:
            wait_until(lambda: reached.is_set() or job.poll() is not None, 60, "the upkeep did not commit")
            assert reached.is_set()
        finally:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
            go.set()
    assert lake.hash() == before
    left = stored(lake, "streaming_films/") - named
    assert any("/data/" in url for url in left)
    assert any("/metadata/" in url for url in left)

    # Young leftovers may be of a job that still runs.
    lake.s3.put_object(Bucket=lake.curated, Key="streaming_films_of_others/data/a.parquet", Body=b"")
    conf = lake.spark._jsparkSession.sessionState().conf()
    conf.setConfString("spark.testing", "true")  # Iceberg's own switch: else it refuses to look at less than a day
    try:
        assert upkeep(lake)["orphans_found"] == 0
        assert left <= stored(lake, "streaming_films/")
        done = upkeep(lake, Retention(timedelta(days=7), 10, -timedelta(minutes=1)))
    finally:
        conf.unsetConf("spark.testing")
    assert done["orphans_removed"] == len(left)
    assert not left & stored(lake, "streaming_films/")
    assert stored(lake, "streaming_films_of_others/")
    assert lake.hash() == before
    assert lake.data_files() == 4


@pytest.mark.spark
@pytest.mark.services
def test_snapshots_expire_by_age_but_the_last_ones_stay(small_files: TestLake) -> None:
    lake = small_files
    old = {row.snapshot_id for row in lake.spark.table(f"{identifier(STREAMING_FILMS)}.snapshots").collect()}
    before, files = lake.hash(), data_urls(lake)
    done = upkeep(lake)
    assert done["after"]["snapshots"] > done["before"]["snapshots"] == len(old)  # all are young
    assert files <= stored(lake, "streaming_films/data/")
    done = upkeep(lake, Retention(timedelta(0), 1, timedelta(days=3)))
    assert (done["after"]["snapshots"], lake.snapshots()) == (1, 1)
    assert stored(lake, "streaming_films/data/") == data_urls(lake)
    assert lake.hash() == before


@pytest.mark.spark
@pytest.mark.services
def test_the_job_reports_every_table_there_is(lake: TestLake) -> None:
    arguments = ["--curated_bucket", lake.curated, "--JOB_RUN_ID"]
    maintain_lake.main([*arguments, "jr_a"])
    assert [table["table"] for table in _report(lake, "jr_a")["tables"]] == ["curated.film_category"]
    lake.set_films(range(1, 12))
    lake.land(NOON)
    lake.hourly()
    maintain_lake.main([*arguments, "jr_b", "--keep_snapshots", "1"])
    report = _report(lake, "jr_b")
    assert (report["job"], report["run_id"]) == ("maintain_lake", "jr_b")
    films = next(table for table in report["tables"] if table["table"] == STREAMING_FILMS.full_name)
    assert films["before"] == films["after"]
    assert films["after"]["files"] == 1
    assert lake.spark.table(f"{identifier(FILM_CATEGORY)}.snapshots").count() == 2
    assert {table["table"] for table in report["tables"]} >= {FILM_CATEGORY.full_name, QUARANTINE.full_name}


def _report(lake: TestLake, run_id: str) -> MaintainLakeReport:
    reply = lake.s3.get_object(Bucket=lake.curated, Key=f"runs/maintain_lake/{run_id}.json")
    report: MaintainLakeReport = json.loads(reply["Body"].read())
    return report


_JOB = """
import json, sys
from pyspark.sql import SparkSession
builder = SparkSession.builder
for name, value in json.load(open(sys.argv[1])).items():
    builder = builder.config(name, value)
builder.getOrCreate()
from glue import maintain_lake
maintain_lake.main(["--curated_bucket", sys.argv[2], "--JOB_RUN_ID", "jr_killed"])
"""
