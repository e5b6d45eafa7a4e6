"""S3 and the Glue catalog refuse, throttle or go away under the enrichment, or its disk is full."""

from __future__ import annotations

import logging
import random
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from py4j.protocol import Py4JError
from pyspark.errors import PythonException

from datalake_spark import iceberg
from infrastructure.cfn.template import parse_template
from infrastructure.package import render_template
from local.aws.glue_catalog import GlueCatalog
from local.deployment import replay_catalog
from oracle.tables import read
from tests.faults.catalogue import Fault, fault
from tests.faults.disk import full_disk
from tests.faults.judging import exact
from tests.faults.spark_process import running_job
from tests.faults.worlds import FILMS
from tests.glue.lake import TestLake, at, event
from tests.support.aws_services import Emulator, root_client, running_emulator, running_server
from tests.support.faulty_proxy import CONFLICT, REPLY_LOST, THROTTLED, UNAVAILABLE, Plan, Proxy, faulty_proxy

pytestmark = pytest.mark.services
CATALOG = "spark.sql.catalog.glue_catalog."
_log = logging.getLogger(__name__)


def retry_settings() -> dict[str, str]:
    """What the template's jobs set of S3's retries."""
    arguments = parse_template(render_template())["Resources"]["StreamingFilmsJob"]["Properties"]["DefaultArguments"]
    settings = [one for one in arguments["--conf"]["Fn::Join"][1] if isinstance(one, str)]
    return dict(one.split("=", 1) for one in settings if one.startswith(f"{CATALOG}s3.retry."))


def pointed_at(lake: TestLake, s3: str, glue: str) -> TestLake:
    """The same lake through other endpoints: Iceberg's, the driver's boto3, and (by ``environment``) the workers'."""
    spark = lake.spark.newSession()
    endpoints = {f"{CATALOG}s3.endpoint": s3, f"{CATALOG}glue.endpoint": glue}
    for name, value in (endpoints | retry_settings()).items():
        spark.conf.set(name, value)
    return TestLake(spark, root_client(s3, "s3"), lake.landing, lake.curated)


@pytest.fixture
def proxied(lake: TestLake, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> TestLake:
    """The lake with the proxy between it and every service."""
    monkeypatch.setitem(lake.spark.sparkContext.environment, "AWS_ENDPOINT_URL", proxy.url)
    return pointed_at(lake, proxy.url, proxy.url)


def land(lake: TestLake, rng: random.Random, objects: int) -> None:
    """Objects of half a day, a few lines each, some bad and some copies."""
    start, given = at("2026-11-10 02:00:00"), []
    for _ in range(objects):
        time = start + timedelta(seconds=rng.randint(0, 43_200))
        lines = [event(time, film_id=rng.randint(1, 14)) for _ in range(rng.randint(1, 9))]
        lines += [event(time, platform="")] * rng.randint(0, 2)
        given.append(lines[0])
        lake.land(time, *lines, *rng.sample(given, k=rng.randint(0, 1)))


def rows() -> int:
    """Rows of streaming_films as a reader sees them."""
    return int(read(boto3.Session()).films.num_rows)


def attacked(
    lake: TestLake, proxied: TestLake, proxy: Proxy, plan: Plan, after: Callable[[], None] = lambda: None
) -> bool:
    """Whether a run under the plan succeeded; ``after`` waits for the end of the fault.

    Then readers saw the old table or the new one, never less, and the next run is exact.
    """
    before, proxy.plan = rows(), plan
    succeeded = False
    try:
        proxied.hourly()
        succeeded = True
    except (Py4JError, PythonException, ClientError, BotoCoreError, iceberg.Conflict) as error:
        _log.info("failed: %.300s", error)
    after()
    proxy.plan = None
    assert rows() >= before
    if succeeded:
        exact(lake)
    lake.hourly()
    exact(lake)
    assert proxy.wrong()
    return succeeded


@fault(Fault.THROTTLING)
@pytest.mark.spark
def test_s3_answers_503_to_the_enrichment(lake: TestLake, proxied: TestLake, proxy: Proxy, seed: int) -> None:
    rng = random.Random(seed)
    share = rng.choice([0.05, 0.2, 0.5])
    land(lake, rng, rng.randint(1, 10))
    proxied.hourly()
    land(lake, rng, rng.randint(5, 20))
    plan = Plan(rng, {UNAVAILABLE: share}, applies=lambda _, __, action: not action)
    proxy.exchanges.clear()
    succeeded = attacked(lake, proxied, proxy, plan)
    pauses = proxy.pauses()
    _log.info("%.0f %%: succeeded %s, %d exchanges, pauses %s", 100 * share, succeeded, len(proxy.exchanges), pauses)
    if share == 0.05:
        assert succeeded
        # The first try again comes after some 0.25 s; Iceberg's own 2 s would make an hourly run wait for minutes.
        assert not pauses or statistics.median(pauses) < 1.5


@fault(Fault.THROTTLING)
@pytest.mark.spark
@pytest.mark.parametrize("answers", [True, False])
def test_the_glue_catalog_refuses_or_forgets_to_answer(
    lake: TestLake, proxied: TestLake, proxy: Proxy, seed: int, answers: bool
) -> None:
    rng = random.Random(seed)
    land(lake, rng, rng.randint(1, 10))
    proxied.hourly()
    land(lake, rng, rng.randint(1, 10))
    commits = Plan(
        rng,
        {rng.choice([CONFLICT, THROTTLED]) if answers else REPLY_LOST: 1.0},
        applies=lambda _, __, action: action == "AWSGlue.UpdateTable",
        at_most=rng.randint(1, 4),
    )
    calls = Plan(rng, {THROTTLED: rng.choice([0.2, 0.5])}, applies=lambda _, __, action: action.startswith("AWSGlue."))
    attacked(lake, proxied, proxy, rng.choice([commits, calls]) if answers else commits)


@fault(Fault.DISK_FULL, kills_spark=True)
@pytest.mark.spark
def test_the_jobs_disk_is_full(lake: TestLake, seed: int, tmp_path: Path) -> None:
    rng, time = random.Random(seed), at("2026-11-10 15:00:00")
    land(lake, rng, rng.randint(1, 10))
    lake.hourly()
    before = rows()
    lake.land(time, *(event(time, film_id=rng.randint(1, 14)) for _ in range(8000)))
    with (
        running_job(lake, tmp_path, "--mode", "hourly") as job,
        full_disk(rng.randint(60_000, 120_000), job.pid),  # data files wait there for their put
    ):
        assert job.wait(120) != 0
    assert "File too large" in (tmp_path / "job.log").read_text()
    assert rows() == before
    lake.hourly()
    exact(lake)


@dataclass
class Falling(Plan):
    """Kills the emulator at its n-th request from now on, and starts it again after a while."""

    emulator: Emulator | None = None
    at: int = 0
    seconds: float = 0.0

    def __call__(self, method: str, path: str, action: str) -> str | None:
        """Nothing is refused; what the proxy cannot pass on is cut."""
        with self._lock:
            self.at -= 1
            if self.at == 0 and self.emulator:
                self.emulator.kill()
                self._restart = threading.Thread(target=self._start)
                self._restart.start()
        return super().__call__(method, path, action)

    def _start(self) -> None:
        time.sleep(self.seconds)  # as long as it is down
        assert self.emulator
        self.emulator.start()
        replay_catalog(self.emulator.settings)

    def risen(self) -> None:
        """Return when it is up again."""
        self._restart.join()


@fault(Fault.THROTTLING)
@pytest.mark.spark
def test_the_emulator_is_killed_and_restarted_under_the_enrichment(
    spark: Any, aws_environment: dict[str, str], seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On AWS: S3 and the catalog are away for seconds."""
    rng = random.Random(seed)
    with (
        running_emulator(tmp_path) as emulator,
        faulty_proxy(emulator.settings.emulator_url) as proxy,
        running_server(emulator, (GlueCatalog,)) as server,
    ):
        url = emulator.settings.emulator_url
        for name, value in aws_environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", server.settings.server_url)
        monkeypatch.setitem(spark.sparkContext.environment, "AWS_ENDPOINT_URL", proxy.url)
        server.client("glue").create_database(DatabaseInput={"Name": "curated"})
        emulator.stop()  # what a kill falls back to
        emulator.start()
        names = TestLake(spark, emulator.client("s3"))
        lake = pointed_at(names, url, server.settings.server_url)
        lake.create(FILMS)
        land(lake, rng, rng.randint(1, 10))
        proxied = pointed_at(names, proxy.url, server.settings.server_url)
        proxied.hourly()
        usual = len(proxy.exchanges)
        land(lake, rng, rng.randint(1, 10))
        plan = Falling(rng, emulator=emulator, at=rng.randint(1, usual), seconds=rng.uniform(0, 2))
        attacked(lake, proxied, proxy, plan, after=plan.risen)
        lake.clear()
