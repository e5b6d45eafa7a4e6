"""``python -m benchmarks.million``: a million ledgered events through the whole chain, and the oracle's verdict.

In a home of its own: generator -> Firehose -> landing -> Airflow's hourly DAG and its Glue job -> curated tables. A few
per cent are sent twice, malformed, or of unknown films. Prints a Markdown table, each hop's seconds beside what reading
the same bytes from S3 and parsing them as JSON takes on one core. Exit code 0: nothing lost, nothing doubled.
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
from typing import Any

import boto3

from datalake.names import STREAMING_PREFIX, Lake
from local.commands.airflow_api import AirflowApi, now
from local.settings import ENVIRONMENT, HOST, ROOT, SUFFIX
from oracle.lake import Recount
from tests.support.own_home import Home, own_home

LAKE = Lake(ENVIRONMENT, SUFFIX)
FAULTS = ("--duplicate", "0.02", "--malformed", "0.01", "--unknown-film", "0.01")
DELIVERY_SECONDS = 300  # Firehose delivers after 60 s at the latest


@dataclass
class Hop:
    """A part of the way and what it took."""

    name: str
    seconds: float
    note: str = ""


@contextmanager
def timed(hops: list[Hop], name: str) -> Iterator[Hop]:
    """Add a hop that lasts as long as the block."""
    hop, began = Hop(name, 0.0), time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    yield hop
    hop.seconds = time.monotonic() - began
    hops.append(hop)


class Landing:
    """The landed objects, each read once."""

    def __init__(self, session: boto3.Session) -> None:
        self._s3 = session.client("s3")
        self._lines: dict[str, int] = {}

    def keys(self) -> list[str]:
        """Keys of all landed events."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=LAKE.landing_bucket, Prefix=STREAMING_PREFIX)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def body(self, key: str) -> bytes:
        """An object's bytes."""
        body: bytes = self._s3.get_object(Bucket=LAKE.landing_bucket, Key=key)["Body"].read()
        return body

    def lines(self) -> int:
        """Lines that have landed so far."""
        for key in self.keys():
            if key not in self._lines:
                self._lines[key] = self.body(key).count(b"\n")
        return sum(self._lines.values())


def prepare(api: AirflowApi) -> None:
    """Sakila's catalogue, by the DAGs that bring it: the enrichment needs it."""
    dags = ("load_sakila", "replicate_sakila", "curate_film_category")
    api.wait_for_dags({*dags, "enrich_streaming_films"})
    for dag_id in dags:
        api.unpause(dag_id)
    began = now()
    api.trigger("load_sakila")
    for dag_id in dags:
        api.wait_next_run(dag_id, began, lambda _text: None)


def send(home: Home, events: int) -> None:
    """The generator, as ``make stream`` runs it; raises CalledProcessError when an event was not acknowledged."""
    options = ["--rate", "0", "--seconds", "7200", "--events", str(events), *FAULTS]
    subprocess.run([sys.executable, "-m", "local", "stream", *options], cwd=ROOT, env=home.variables, check=True)


def wait_landed(landing: Landing, acknowledged: int) -> None:
    """Until every acknowledged record has landed; raises TimeoutError."""
    deadline = time.monotonic() + DELIVERY_SECONDS
    while (landed := landing.lines()) < acknowledged:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{landed} of {acknowledged} records have landed after {DELIVERY_SECONDS} s")
        time.sleep(1)


def enrich(api: AirflowApi) -> None:
    """The hourly DAG, by hand; its scheduled run may come first and take what there is."""
    api.unpause("enrich_streaming_films")
    api.wait_run("enrich_streaming_films", api.trigger("enrich_streaming_films"), lambda _text: None, seconds=1800)
    for run in api.runs("enrich_streaming_films"):
        api.wait_run("enrich_streaming_films", run["dag_run_id"], lambda _text: None, seconds=1800)


def job_seconds(session: boto3.Session) -> float:
    """What Glue says its runs of the enrichment took, start-up of Spark included."""
    runs: list[dict[str, Any]] = session.client("glue").get_job_runs(JobName=LAKE.streaming_films_job)["JobRuns"]
    return sum(run["ExecutionTime"] for run in runs)


def read_and_parse(landing: Landing) -> int:
    """The limit: fetch each landed object and parse each line, one after another; returns bytes."""
    size = 0
    for body in map(landing.body, landing.keys()):
        size += len(body)
        for line in body.splitlines():
            with suppress(json.JSONDecodeError):
                json.loads(line)
    return size


def table(hops: Iterable[Hop], events: int) -> str:
    """The hops in Markdown."""
    rows = [f"| {hop.name} | {hop.seconds:,.1f} | {events / hop.seconds:,.0f} | {hop.note} |" for hop in hops]
    return "\n".join(["| hop | s | events/s | |", "|---|---|---|---|", *rows])


def main(arguments: list[str] | None = None) -> int:
    """Run the whole; 0 when the oracle finds nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events that the generator makes")
    events = parser.parse_args(arguments).events
    hops: list[Hop] = []
    with own_home("up") as home:
        os.environ.update(home.client_environment())  # from here on an ordinary client
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
