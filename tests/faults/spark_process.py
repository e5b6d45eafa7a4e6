"""The enrichment in a process of its own, with its own JVM, as a Glue run is one; and a reader beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3

from local.engines import spark
from local.settings import ROOT
from oracle.tables import read
from tests.glue.lake import TestLake

_SETTINGS = (
    "spark.master",
    "spark.ui.",
    "spark.sql.",
    "spark.hadoop.",
    "spark.driver.host",
    "spark.driver.bindAddress",
)


@contextmanager
def running_job(lake: TestLake, work: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """spark-submit of the job's script with the settings of the test's own session; log: ``work``/job.log."""
    settings = {name: value for name, value in lake.spark.sparkContext.getConf().getAll() if name.startswith(_SETTINGS)}
    # What a killed process leaves behind goes with the folder.
    settings["spark.driver.extraJavaOptions"] = f"{spark.JAVA_OPTIONS} -Djava.io.tmpdir={work}"
    settings["spark.local.dir"] = str(work)
    script = ROOT / "include/glue/streaming_films.py"
    places = ["--landing_bucket", lake.landing, "--curated_bucket", lake.curated, "--JOB_RUN_ID", "jr_killed"]
    environment = {
        **os.environ,
        **spark.environment(spark.jars()),
        "PYTHONPATH": str(ROOT / "include"),
        "TMPDIR": str(work),
    }
    submit = spark.submit(work / "spark.properties", settings)
    with (work / "job.log").open("wb") as log:
        process = subprocess.Popen(
            [*submit, str(script), *places, *arguments], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the JVM and its Python at once, unless they have ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


@dataclass
class Seen:
    """Each state of the two tables that a reader saw: rows by (table, object)."""

    states: list[Counter[tuple[str, str]]] = field(default_factory=list)
    error: BaseException | None = None


def state() -> Counter[tuple[str, str]]:
    """Rows by (table, object), as DuckDB reads them now."""
    actual = read(boto3.Session())
    tables = {"films": actual.films, "quarantine": actual.quarantine}
    return Counter((name, file) for name, rows in tables.items() for file in rows["source_file"].to_pylist())


@contextmanager
def reading() -> Iterator[Seen]:
    """Read both tables a few times a second while the body runs."""
    seen, ended = Seen(), threading.Event()

    def poll() -> None:
        try:
            while not ended.is_set():
                seen.states.append(state())
                ended.wait(0.3)
        except BaseException as error:  # noqa: BLE001
            seen.error = error

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        yield seen
    finally:
        ended.set()
        reader.join()
