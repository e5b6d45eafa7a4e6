"""`make demo`: the film company's lake, built and queried by the real DAGs, jobs, Lambda and template.

Everything goes through the front doors: Airflow's API and scheduler, Firehose, Athena under the analysts' rights.
What is printed at the end is asked of the tables, and the test of the journey recounts it from the raw objects and MySQL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console
from rich.table import Table

from datalake.names import CURATED_DATABASE, RUNS_PREFIX, Lake
from local import cli, history
from local.airflow import airflow_environment
from local.airflow_api import AirflowApi, now
from local.progress import Steps, Tick
from local.settings import ENVIRONMENT, ROOT, SUFFIX, Settings

LIVE_RATE, LIVE_SECONDS = 10, 60
BURST = 20_000
HISTORY_MONTHS, HISTORY_EVENTS = 3, 20_000
DOLLARS_PER_TERABYTE, BILLED_AT_LEAST = 5.0, 10_000_000  # Athena bills at least 10 MB a query

DAGS = {
    "load_sakila",
    "replicate_sakila",
    "curate_film_category",
    "crawl_streaming_events",
    "enrich_streaming_films",
    "rebuild_streaming_films",
    "report_film_popularity",
}
LAKE = Lake(ENVIRONMENT, SUFFIX)


class Analyst:
    """Athena as an analyst uses it: named queries, the workgroup, nothing else."""

    def __init__(self, session: boto3.Session) -> None:
        self.athena = session.client("athena")
        self.queries: list[dict[str, Any]] = []  # name, bytes, seconds of every query run

    def named(self, name: str) -> str:
        """SQL of a saved query of the workgroup."""
        pages = self.athena.get_paginator("list_named_queries").paginate(WorkGroup=LAKE.workgroup)
        ids = [i for page in pages for i in page["NamedQueryIds"]]
        found = self.athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"] if ids else []
        for query in found:
            if query["Name"] == name:
                return str(query["QueryString"])
        raise LookupError(f"the workgroup {LAKE.workgroup} has no saved query {name}: {[q['Name'] for q in found]}")

    def run(self, name: str, sql: str) -> tuple[list[str], list[list[str | None]]]:
        """Column names and rows (text) of a statement; raises RuntimeError with Athena's own reason."""
        started = self.athena.start_query_execution(
            QueryString=sql, WorkGroup=LAKE.workgroup, QueryExecutionContext={"Database": CURATED_DATABASE}
        )["QueryExecutionId"]
        while True:
            execution = self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
            state = execution["Status"]["State"]
            if state in ("SUCCEEDED", "FAILED", "CANCELLED"):
                break
            time.sleep(0.1)
        if state != "SUCCEEDED":
            raise RuntimeError(f"{name}: {state}: {execution['Status'].get('StateChangeReason')}")
        statistics = execution["Statistics"]
        self.queries.append(
            {
                "name": name,
                "bytes": statistics["DataScannedInBytes"],
                "seconds": statistics["TotalExecutionTimeInMillis"] / 1000,
            }
        )
        rows = []
        for page in self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=started):
            rows += [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
        return [str(c) for c in rows[0]], rows[1:]


def start_stream(settings: Settings) -> subprocess.Popen[bytes]:
    """Live events at the partners' pace with one burst in front, in the background; its log is stream.log."""
    log = (settings.logs / "stream.log").open("ab")
    command = [sys.executable, "-m", "local.stream"]
    burst = [*command, "--rate", "0", "--events", str(BURST)]
    live = [*command, "--rate", str(LIVE_RATE), "--seconds", str(LIVE_SECONDS)]
    script = f"{subprocess.list2cmdline(burst)} && exec {subprocess.list2cmdline(live)}"
    return subprocess.Popen(["/bin/sh", "-c", script], stdout=log, stderr=log, cwd=ROOT)


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
        code = subprocess.run(
            command, env=airflow_environment(settings), stdout=out, stderr=out, check=False
        ).returncode
    if code:
        raise RuntimeError(f"`airflow backfill create` exited with {code}; see {log}")


def wait_backfilled(api: AirflowApi, months: list[str], since: datetime, tick: Tick) -> None:
    """Until every month has a rebuild that was started after ``since`` and ended well."""
    deadline = time.monotonic() + 900
    pending = set(months)
    while pending:
        for run in api.runs("rebuild_streaming_films", since):
            if run["partition_key"] in pending and run["state"] in ("running", "success", "failed"):
                tick(f"{run['partition_key']} ({len(months) - len(pending) + 1}/{len(months)})")
                api.wait_run("rebuild_streaming_films", run["dag_run_id"], lambda _text: None)
                pending.discard(run["partition_key"])
        if time.monotonic() > deadline:
            raise TimeoutError(f"no rebuild of {sorted(pending)} after 15 minutes")
        time.sleep(0.5)


def run_reports(session: boto3.Session, since: datetime) -> list[dict[str, Any]]:
    """Reports that the enrichment's runs have written since a moment."""
    s3 = session.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=LAKE.curated_bucket, Prefix=f"{RUNS_PREFIX}streaming_films/"
    )
    keys = [o["Key"] for page in pages for o in page.get("Contents", []) if o["LastModified"] >= since]
    reports = [json.loads(s3.get_object(Bucket=LAKE.curated_bucket, Key=key)["Body"].read()) for key in keys]
    return sorted(reports, key=lambda r: (r["mode"], r["months"]))


def show(console: Console, title: str, columns: list[str], rows: list[list[str | None]]) -> None:
    """One result table."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if rows and index and str(rows[0][index]).isdigit() else "left")
    for row in rows:
        table.add_row(*["" if cell is None else cell for cell in row])
    console.print(table)


def results(console: Console, settings: Settings, session: boto3.Session, since: datetime) -> dict[str, Any]:
    """Ask the lake, print the answers, and return them."""
    analyst = Analyst(session)
    found: dict[str, Any] = {}
    for title, name in (
        ("Top categories", "Overall-Top-Streaming-Categories"),
        ("Top states", "Overall-Top-Streaming-States"),
    ):
        columns, rows = analyst.run(name, analyst.named(name))
        found[name] = rows
        show(console, f"{title} (saved query {name})", columns, rows[:5])
    columns, rows = analyst.run(
        "Five rows of streaming_films",
        "select timestamp, eventtype, title, category_name, state, platform, distributor, event_id"
        " from streaming_films order by event_time desc, event_id limit 5",
    )
    show(console, "Five rows of curated.streaming_films", columns, rows)
    _, counts = analyst.run(
        "Rows by month",
        "select month, sum(enriched), sum(quarantined), sum(duplicates) from ("
        " select partition_0 || '-' || partition_1 as month, 1 as enriched, 0 as quarantined, 0 as duplicates"
        " from streaming_films union all"
        " select partition_0 || '-' || partition_1, 0, 1, if(reason = 'duplicate', 1, 0)"
        " from streaming_events_quarantine) group by month order by month",
    )
    found["months"] = counts
    _, films = analyst.run("Films", "select count(*) from film_category")
    found["films"] = int(films[0][0] or 0)
    found["landed"] = landed_lines(session)
    lines = [[m, str(found["landed"].get(m, 0)), e, str(int(q or 0) - int(d or 0)), d] for m, e, q, d in counts]
    show(
        console,
        "Reconciled: landed = enriched + quarantined + duplicates",
        ["month", "landed", "enriched", "quarantined", "duplicates"],
        lines,
    )
    for month, landed, enriched, quarantined, duplicates in lines:
        if int(landed or 0) != int(enriched or 0) + int(quarantined or 0) + int(duplicates or 0):
            raise RuntimeError(
                f"{month}: {landed} lines landed, but {enriched} + {quarantined} + {duplicates} are in the tables"
            )
    if missing := set(found["landed"]) - {str(line[0]) for line in lines}:
        raise RuntimeError(f"months landed and not enriched: {sorted(missing)}")
    found["runs"] = run_reports(session, since)
    console.print(
        f"Films in curated.film_category: [bold]{found['films']}[/]; job runs reconciled: {len(found['runs'])}"
    )
    show(
        console,
        "What the queries cost on AWS ($5 a terabyte, 10 MB at least)",
        ["query", "bytes scanned", "seconds", "dollars"],
        [
            [
                q["name"],
                f"{q['bytes']:,}",
                f"{q['seconds']:.1f}",
                f"{max(q['bytes'], BILLED_AT_LEAST) / 1e12 * DOLLARS_PER_TERABYTE:.5f}",
            ]
            for q in analyst.queries
        ],
    )
    found["queries"] = analyst.queries
    return found


def landed_lines(session: boto3.Session) -> dict[str, int]:
    """Non-blank lines of the landed objects by month of arrival, read from the objects themselves."""
    s3 = session.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=LAKE.landing_bucket, Prefix="streaming/")
    keys = [o["Key"] for page in pages for o in page.get("Contents", [])]

    def count(key: str) -> tuple[str, int]:
        body = s3.get_object(Bucket=LAKE.landing_bucket, Key=key)["Body"].read()
        _, year, month, _ = key.split("/", 3)
        return f"{year}-{month}", sum(1 for line in body.split(b"\n") if line.strip())

    totals: dict[str, int] = {}
    with ThreadPoolExecutor(4) as pool:
        for month, lines in pool.map(count, keys):
            totals[month] = totals.get(month, 0) + lines
    return totals


def main(_: Sequence[str] = ()) -> int:
    """Run the whole story; 0 when every step and every count is right."""
    settings = Settings.from_environment()
    console = Console()
    began, since = time.monotonic(), now()
    with Steps(console) as steps:
        cli.up(settings, steps)
        os.environ.update(cli.client_environment(settings))  # from here on the demo is an ordinary client
        session = boto3.Session()
        api = AirflowApi(f"http://127.0.0.1:{settings.airflow_port}")
        stream = start_stream(settings)
        try:
            with steps.step("Airflow has read the DAGs"):
                api.wait_for_dags(DAGS)
            story(settings, api, steps, stream, since)
        finally:
            if stream.poll() is None:
                stream.terminate()
                stream.wait()
    found = results(console, settings, session, since)
    (settings.home / "demo.json").write_text(json.dumps(found, indent=1, default=str))
    console.print(
        f"\n[bold green]The lake is up[/] after {time.monotonic() - began:.0f} s.\n"
        f"  Airflow   {api.url}   (no password: it listens on this machine only)\n"
        '  Clients   eval "$(make -s env)"   then boto3, awswrangler or the aws CLI\n'
        "  More      make stream RATE=1000 SECONDS=60 | make status\n"
        "  Stop      make down   (make clean removes everything)"
    )
    return 0


def story(settings: Settings, api: AirflowApi, steps: Steps, stream: subprocess.Popen[bytes], since: datetime) -> None:
    """The journey, in the order in which a newcomer would make it."""
    for dag_id in DAGS - {"enrich_streaming_films"}:
        api.unpause(dag_id)
    with steps.step("load_sakila: scripts -> MySQL, verified") as tick:
        started = now()
        api.wait_run("load_sakila", api.trigger("load_sakila"), tick)
    with steps.step("replicate_sakila: MySQL -> DMS -> CSV -> Lambda -> Parquet, reconciled") as tick:
        api.wait_next_run("replicate_sakila", started, tick)
    with steps.step(f"history: {HISTORY_MONTHS} past months, synthetic") as tick:
        months = history.lay_down(settings, HISTORY_MONTHS, HISTORY_EVENTS, tick)
    with steps.step("curate_film_category: Glue job -> curated.film_category") as tick:
        api.wait_next_run("curate_film_category", started, tick)
    rebuilt = now()
    with steps.step(f"backfill of {months[0]} to {months[-1]}: rebuild_streaming_films") as tick:
        backfill(settings, months, settings.logs / "backfill.log")
        wait_backfilled(api, months, rebuilt, tick)
    with steps.step("live events: a burst, then 10/s; Firehose delivers every 60 s at the latest") as tick:
        while stream.poll() is None:
            tick("streaming")
            time.sleep(0.5)
        if stream.returncode:
            raise RuntimeError(f"the generator failed; see {settings.logs / 'stream.log'}")
        wait_delivered(settings, boto3.Session(), tick)
    with steps.step("crawl_streaming_events: Glue crawler -> landing.streaming") as tick:
        api.wait_run("crawl_streaming_events", api.trigger("crawl_streaming_events"), tick)
    with steps.step("enrich_streaming_films: only what is new -> curated.streaming_films") as tick:
        enriched = now()
        api.unpause("enrich_streaming_films")
        api.wait_run("enrich_streaming_films", api.trigger("enrich_streaming_films"), tick)
    with steps.step("report_film_popularity: Athena -> reports/") as tick:
        api.wait_next_run("report_film_popularity", enriched, tick, partition_key=f"{enriched:%Y-%m}")


def wait_delivered(settings: Settings, session: boto3.Session, tick: Tick) -> None:
    """Until Firehose holds nothing back: every acknowledged event has landed (60 s at the longest)."""
    ledgers = sum(len(p.read_bytes().splitlines()) for p in (settings.home / "ledgers").glob("*"))
    deadline = time.monotonic() + 120
    while (landed := sum(landed_lines(session).values())) < ledgers:
        tick(f"{landed:,} of {ledgers:,} events have landed")
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {landed} of {ledgers} acknowledged events have landed")
        time.sleep(1)
