"""``python -m benchmarks.million``: times a million events through the whole chain; the oracle checks the result.

In a home of its own: generator -> Firehose -> landing -> Airflow's hourly DAG and its Glue job -> curated tables. A few
per cent are sent twice, malformed, or of unknown films. Prints a Markdown table: the seconds of each hop and, for
comparison, of reading the same bytes from S3 and parsing them as JSON on one core. Exit code 0: nothing lost, nothing
doubled.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import boto3

from datalake.names import STREAMING_PREFIX, Lake
from local.commands.airflow_api import AirflowApi, now
from local.engines.waiting import wait_until
from local.settings import ENVIRONMENT, HOST, ROOT, SUFFIX
from oracle.recount import Recount
from tests.support.own_home import Home, own_home

LAKE = Lake(ENVIRONMENT, SUFFIX)
FAULTS = ("--duplicate", "0.02", "--malformed", "0.01", "--unknown-film", "0.01")
DELIVERY_SECONDS = 300  # Firehose delivers after 60 s at the latest


@dataclass
class Hop:
    """A part of the chain, and the seconds it took."""

    name: str
    seconds: float
    note: str = ""


@contextmanager
def timed(hops: list[Hop], name: str) -> Iterator[Hop]:
    """Time the block and add it as a hop."""
    hop, began = Hop(name, 0.0), time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    yield hop
    hop.seconds = time.monotonic() - began
    hops.append(hop)


class Landing:
    """The landed objects; lines of each are counted once."""

    def __init__(self, session: boto3.Session) -> None:
        self._s3 = session.client("s3")
        self._lines: dict[str, int] = {}

    def keys(self) -> list[str]:
        """Keys of all landed events."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=LAKE.landing_bucket, Prefix=STREAMING_PREFIX)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def body(self, key: str) -> bytes:
        """An object's bytes."""
        return self._s3.get_object(Bucket=LAKE.landing_bucket, Key=key)["Body"].read()

    def lines(self) -> int:
        """The number of lines that have landed so far."""
        for key in self.keys():
            if key not in self._lines:
                self._lines[key] = self.body(key).count(b"\n")
        return sum(self._lines.values())


def prepare(api: AirflowApi) -> None:
    """Load Sakila's films, which the enrichment needs, by running their DAGs."""
    dags = ("load_sakila", "replicate_sakila", "curate_film_category")
    api.wait_for_dags({*dags, "enrich_streaming_films"})
    began = now()
    for dag_id in dags:  # replicate_sakila must not run before MySQL is loaded; unpaused, it runs at once
        api.unpause(dag_id)
        if dag_id == "load_sakila":
            api.trigger(dag_id)
        api.wait_next_run(dag_id, began, lambda _text: None)


def send(home: Home, events: int) -> None:
    """Run the generator as ``make stream`` does; raises CalledProcessError when an event was not acknowledged."""
    options = ["--rate", "0", "--seconds", "7200", "--events", str(events), *FAULTS]
    subprocess.run([sys.executable, "-m", "local", "stream", *options], cwd=ROOT, env=home.variables, check=True)


def wait_landed(landing: Landing, acknowledged: int) -> None:
    """Wait until every acknowledged record has landed; raises TimeoutError."""
    wait_until(
        lambda: landing.lines() >= acknowledged,
        DELIVERY_SECONDS,
        f"not all {acknowledged} records have landed",
        pause=1,
    )


def enrich(api: AirflowApi) -> None:
    """Trigger the hourly DAG and wait for all its runs: a scheduled one may process the events first."""
    api.unpause("enrich_streaming_films")
    api.wait_run("enrich_streaming_films", api.trigger("enrich_streaming_films"), lambda _text: None, seconds=1800)
    for run in api.runs("enrich_streaming_films"):
        api.wait_run("enrich_streaming_films", run["dag_run_id"], lambda _text: None, seconds=1800)


def job_seconds(session: boto3.Session) -> float:
    """The seconds of the enrichment's job runs according to Glue, including Spark's start."""
    runs = session.client("glue").get_job_runs(JobName=LAKE.streaming_films_job)["JobRuns"]
    return sum(run["ExecutionTime"] for run in runs)


def read_and_parse(landing: Landing) -> int:
    """For comparison: fetch and parse each landed object, one after the other; returns the bytes."""
    size = 0
    for body in map(landing.body, landing.keys()):
        size += len(body)
        for line in body.splitlines():
            with suppress(json.JSONDecodeError):
                json.loads(line)
    return size


def table(hops: Iterable[Hop], events: int) -> str:
    """The hops as a Markdown table."""
    rows = [f"| {hop.name} | {hop.seconds:,.1f} | {events / hop.seconds:,.0f} | {hop.note} |" for hop in hops]
    return "\n".join(["| hop | s | events/s | |", "|---|---|---|---|", *rows])


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns 0 when the oracle has no findings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events that the generator makes")
    events = parser.parse_args(arguments).events
    hops: list[Hop] = []
    with own_home("up") as home:
        os.environ.update(home.client_environment())  # from here on this process is an ordinary client
        session = boto3.Session()
        api = AirflowApi(f"http://{HOST}:{home.settings.airflow_port}")
        prepare(api)
        landing, ledger = Landing(session), home.settings.home / "ledgers" / "live.ids"
        with timed(hops, "generator -> Firehose, each event acknowledged and in the ledger"):
            send(home, events)
        acknowledged = ledger.read_text().split()
        with timed(hops, "Firehose -> landing, from the last acknowledgement on"):
            wait_landed(landing, len(acknowledged))
        with timed(hops, "enrich_streaming_films: Airflow's run from trigger to reconciled") as hop:
            enrich(api)
        hop.note = f"of which Glue's job {job_seconds(session):,.0f} s"
        with timed(hops, "limit: the same bytes from S3 and json.loads, one core") as hop:
            size = read_and_parse(landing)
        hop.note = f"{size / 1e6:,.0f} MB in {len(landing.keys()):,} objects"
        with timed(hops, "oracle: recount of every line, row and ledgered id"):
            verdict = Recount(session, LAKE.landing_bucket).verdict(ledger=acknowledged)
    print(table(hops, events))
    ids = len(set(acknowledged))
    print(f"\n{events:,} events made, {len(acknowledged):,} records acknowledged, {ids:,} event ids in the ledger.\n")
    print(verdict)
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main())
