"""`make demo`: the film company's lake, built and queried by the real DAGs, jobs, Lambda and template.

Everything goes through the front doors: Airflow's API and scheduler, Firehose, Athena under the analysts' rights.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import boto3
from rich.console import Console

from datalake.names import REPORTS_PREFIX
from local.commands import audience, history
from local.commands.airflow_api import AirflowApi, now
from local.commands.demo_results import LAKE, landed_lines, results
from local.commands.lifecycle import client_environment, start, stopped_after
from local.engines.airflow import airflow_environment
from local.engines.waiting import wait_until
from local.installation.progress import Progress, Tick
from local.settings import ROOT, Settings
from local.supervision.control import HomeError

LIVE_RATE, LIVE_SECONDS = 10, 60
BURST = 20_000
HISTORY_MONTHS, HISTORY_EVENTS = 3, 20_000

DAGS = {
    "load_sakila", "replicate_sakila", "curate_film_category", "crawl_streaming_events", "enrich_streaming_films",
    "rebuild_streaming_films", "report_film_popularity",
}  # fmt: skip


def start_stream(settings: Settings, progress: Progress) -> subprocess.Popen[bytes]:
    """A burst, as fast as the stream takes it; then live events at the partners' pace, in the background."""
    log = settings.logs / "stream.log"
    command = [sys.executable, "-m", "local", "stream", "--template", str(audience.TEMPLATE)]
    with log.open("ab") as out, progress.step(f"a burst of {BURST:,} events") as tick:
        tick("as fast as the stream takes them")
        burst = [*command, "--rate", "0", "--events", str(BURST)]
        if code := subprocess.run(burst, stdout=out, stderr=out, cwd=ROOT, check=False).returncode:
            raise HomeError(f"the generator exited with {code}; see {log}")
        live = [*command, "--rate", str(LIVE_RATE), "--seconds", str(LIVE_SECONDS)]
        return subprocess.Popen(live, stdout=out, stderr=out, cwd=ROOT)


def backfill(settings: Settings, months: list[str], log: Path) -> None:
    """`airflow backfill create` over whole months, as a data engineer would type it."""
    first, last = months[0], months[-1]
    end = (datetime.fromisoformat(f"{last}-01") + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    command = [
        str(Path(sys.executable).with_name("airflow")),
        *("backfill", "create", "--dag-id", "rebuild_streaming_films"),
        *("--from-date", f"{first}-01", "--to-date", f"{end:%Y-%m-%d}"),
        *("--reprocess-behavior", "completed", "--max-active-runs", "1"),
    ]
    with log.open("ab") as out:
        done = subprocess.run(command, env=airflow_environment(settings), stdout=out, stderr=out, check=False)
    if done.returncode:
        raise HomeError(f"`airflow backfill create` exited with {done.returncode}; see {log}")


def wait_backfilled(api: AirflowApi, months: list[str], since: datetime, tick: Tick) -> None:
    """Until every month has a rebuild that was started after ``since`` and ended well."""
    pending = set(months)

    def none_is_pending() -> bool:
        for run in api.runs("rebuild_streaming_films", since):
            if run["partition_key"] in pending and run["state"] in ("running", "success", "failed"):
                tick(f"{run['partition_key']} ({len(months) - len(pending) + 1}/{len(months)})")
                api.wait_run("rebuild_streaming_films", run["dag_run_id"], lambda _text: None)
                pending.discard(run["partition_key"])
        return not pending

    wait_until(none_is_pending, 900, "not every month has been rebuilt", 0.5)


def main(settings: Settings, _: argparse.Namespace) -> int:
    """Run the whole story; 0 when every step and every count is right."""
    console = Console() if sys.stdout.isatty() else Console(width=120)
    began, since = time.monotonic(), now()
    with stopped_after(KeyboardInterrupt, settings), Progress() as progress:
        start(settings, progress)
        os.environ.update(client_environment(settings))  # from here on the demo is an ordinary client
        session = boto3.Session()
        api = AirflowApi(settings.airflow_url)
        stream = start_stream(settings, progress)
        try:
            with progress.step("Airflow has read the DAGs"):
                api.wait_for_dags(DAGS)
            story(settings, api, progress, stream)
        finally:
            if stream.poll() is None:
                stream.terminate()
                stream.wait()
    found = results(console, session, since)
    (settings.home / "demo.json").write_text(json.dumps(found, indent=1, default=str))
    console.print(
        f"\n[bold green]The lake is up[/] after {time.monotonic() - began:.0f} s.\n"
        f"  Airflow   {api.url}  (no password: this machine only)\n"
        f"  Reports   s3://{LAKE.results_bucket}/{REPORTS_PREFIX}\n"
        '  Tables    make sql Q="show tables"\n'
        '  Clients   eval "$(make -s env)", then boto3, awswrangler or the aws CLI\n'
        "  More      make stream RATE=1000 SECONDS=60 | make status\n"
        "  Stop      make down  (make clean removes everything)",
        highlight=False,
    )
    return 0


def story(settings: Settings, api: AirflowApi, progress: Progress, stream: subprocess.Popen[bytes]) -> None:
    """The journey, in the order in which a newcomer would make it."""
    # What the others need is not there yet: MySQL's tables, and curated.film_category.
    for dag_id in DAGS - {"replicate_sakila", "enrich_streaming_films", "rebuild_streaming_films"}:
        api.unpause(dag_id)
    started = now()
    with progress.step("load_sakila: scripts -> MySQL, verified") as tick:
        api.wait_run("load_sakila", api.trigger("load_sakila"), tick)
    with progress.step("replicate_sakila: MySQL -> DMS -> CSV -> Lambda -> Parquet, reconciled") as tick:
        api.unpause("replicate_sakila")  # its schedule is due at once
        api.wait_next_run("replicate_sakila", started, tick)
    with progress.step(f"history: {HISTORY_MONTHS} past months, synthetic") as tick:
        months = list(history.lay_down(settings, HISTORY_MONTHS, HISTORY_EVENTS, tick))
    with progress.step("curate_film_category: Glue job -> curated.film_category") as tick:
        api.wait_next_run("curate_film_category", started, tick)
    rebuilt = now()
    api.unpause("rebuild_streaming_films")  # its schedule closes the month before at once
    with progress.step(f"past months {months[0]} to {months[-1]}: rebuild_streaming_films, one run each") as tick:
        backfill(settings, months, settings.logs / "backfill.log")
        wait_backfilled(api, months, rebuilt, tick)
    with progress.step("live events, 10/s; Firehose delivers every 60 s at the latest") as tick:
        while stream.poll() is None:
            tick("streaming")
            time.sleep(0.5)
        if stream.returncode:
            raise HomeError(f"the generator failed; see {settings.logs / 'stream.log'}")
        delivered = now()
        wait_delivered(settings, boto3.Session(), tick)
    with progress.step("crawl_streaming_events: Glue crawler -> landing.streaming") as tick:
        api.wait_run("crawl_streaming_events", api.trigger("crawl_streaming_events"), tick)
    with progress.step("enrich_streaming_films: only what is new -> curated.streaming_films") as tick:
        enriched = now()
        api.unpause("enrich_streaming_films")
        run = api.wait_run("enrich_streaming_films", api.trigger("enrich_streaming_films"), tick)
        if api.task_state(run, "reconcile_lines") != "success":
            enriched = delivered  # a scheduled run came first, took all there was, and has asked for the report
    with progress.step("report_film_popularity: Athena -> reports/") as tick:
        api.wait_next_run("report_film_popularity", enriched, tick, partition_key=f"{enriched:%Y-%m}")


def wait_delivered(settings: Settings, session: boto3.Session, tick: Tick) -> None:
    """Until Firehose holds nothing back: every acknowledged event has landed (60 s at the longest)."""
    ledgers = sum(len(p.read_bytes().splitlines()) for p in (settings.home / "ledgers").glob("*"))

    def all_landed() -> bool:
        landed = sum(landed_lines(session).values())
        tick(f"{landed:,} of {ledgers:,} events have landed")
        return landed >= ledgers

    wait_until(all_landed, 120, f"not all of the {ledgers:,} acknowledged events have landed", 1)
