"""What the demo prints at the end: an analyst's queries of the tables, reconciled with the landed objects."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import boto3
from rich import box
from rich.console import Console
from rich.table import Table

from datalake.names import CURATED_DATABASE, RUNS_PREFIX, STREAMING_PREFIX, Lake
from local.settings import ENVIRONMENT, SUFFIX
from local.supervision.control import HomeError

DOLLARS_PER_TERABYTE, BILLED_AT_LEAST = 5.0, 10_000_000  # Athena bills at least 10 MB a query
LAKE = Lake(ENVIRONMENT, SUFFIX)
FIVE_ROWS = (
    "select event_time, eventtype, title, category_name, state, platform"
    " from streaming_films order by event_time desc, event_id limit 5"
)


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
        raise HomeError(f"the workgroup {LAKE.workgroup} has no saved query {name}: {[q['Name'] for q in found]}")

    def run(self, name: str, sql: str) -> tuple[list[str], list[list[str | None]]]:
        """Column names and rows (text) of a statement; raises HomeError with Athena's own reason."""
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
            raise HomeError(f"{name}: {state}: {execution['Status'].get('StateChangeReason')}")
        statistics = execution["Statistics"]
        seconds = statistics["TotalExecutionTimeInMillis"] / 1000
        self.queries.append({"name": name, "bytes": statistics["DataScannedInBytes"], "seconds": seconds})
        rows = []
        for page in self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=started):
            rows += [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
        return [str(c) for c in rows[0]], rows[1:]


def run_reports(session: boto3.Session, since: datetime) -> list[dict[str, Any]]:
    """Reports that the enrichment's runs have written since a moment."""
    found = session.resource("s3").Bucket(LAKE.curated_bucket).objects.filter(Prefix=f"{RUNS_PREFIX}streaming_films/")
    reports = [json.loads(one.get()["Body"].read()) for one in found if one.last_modified >= since]
    return sorted(reports, key=lambda r: (r["mode"], r["months"]))


def show(console: Console, title: str, columns: list[str], rows: list[list[str | None]]) -> None:
    """One result table; numbers stand to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(re.fullmatch(r"[\d.,]+", row[index] or "") for row in rows)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*["" if cell is None else cell for cell in row])
    console.print(f"\n[bold]{title}[/]", table, sep="\n", highlight=False)


def results(console: Console, session: boto3.Session, since: datetime) -> dict[str, Any]:
    """Ask the lake, print the answers, and return them; raises HomeError when the counts do not add up."""
    analyst = Analyst(session)
    found: dict[str, Any] = {}
    for what in ("Categories", "States"):
        name = f"Overall-Top-Streaming-{what}"
        columns, found[name] = analyst.run(name, analyst.named(name))
        show(console, f"Top {what.lower()} (saved query {name})", columns, found[name][:5])
    show(console, "Five rows of curated.streaming_films", *analyst.run("Five rows of streaming_films", FIVE_ROWS))
    columns, counts = analyst.run("Streaming-Reconciliation", analyst.named("Streaming-Reconciliation"))
    found["months"] = [dict(zip(columns, row, strict=True)) for row in counts]
    found["landed"] = landed_lines(session)
    title = "Reconciled: landed = enriched + quarantined + duplicates (saved query Streaming-Reconciliation)"
    shown = ["month", "landed", "enriched", "quarantined", "duplicates"]
    show(console, title, shown, [[month[name] for name in shown] for month in found["months"]])
    check(found["months"], found["landed"])
    _, films = analyst.run("Films", "select count(*) from film_category")
    found["films"] = int(films[0][0] or 0)
    found["runs"] = run_reports(session, since)
    console.print(
        f"Films in curated.film_category: [bold]{found['films']}[/]; job runs reconciled: {len(found['runs'])}"
    )
    found["queries"] = analyst.queries
    costs = [
        [one["name"], f"{one['bytes']:,}", f"{one['seconds']:.1f}", f"{dollars(one['bytes']):.5f}"]
        for one in analyst.queries
    ]
    title = "What the queries cost on AWS ($5 a terabyte, 10 MB at least)"
    show(console, title, ["query", "bytes scanned", "seconds", "dollars"], costs)
    return found


def dollars(scanned: int) -> float:
    """What Athena bills for a query that has read so many bytes."""
    return max(scanned, BILLED_AT_LEAST) / 1e12 * DOLLARS_PER_TERABYTE


def check(months: list[dict[str, Any]], landed: dict[str, int]) -> None:
    """Raise HomeError for a month whose tables do not hold every line that has landed."""
    for month in months:
        lines = landed.get(month["month"], 0)
        if month["adds_up"] != "true" or int(month["landed"]) != lines:
            raise HomeError(f"{month['month']}: {lines} lines landed, but the tables hold {month}")
    if missing := set(landed) - {month["month"] for month in months}:
        raise HomeError(f"months landed and not enriched: {sorted(missing)}")


def landed_lines(session: boto3.Session) -> dict[str, int]:
    """Non-blank lines of the landed objects by month of arrival, read from the objects themselves."""
    s3 = session.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=LAKE.landing_bucket, Prefix=STREAMING_PREFIX)
    keys = [one["Key"] for page in pages for one in page.get("Contents", [])]

    def count(key: str) -> tuple[str, int]:
        body = s3.get_object(Bucket=LAKE.landing_bucket, Key=key)["Body"].read()
        _, year, month, _ = key.split("/", 3)
        return f"{year}-{month}", sum(1 for line in body.split(b"\n") if line.strip())

    totals: Counter[str] = Counter()
    with ThreadPoolExecutor(4) as pool:
        for month, lines in pool.map(count, keys):
            totals[month] += lines
    return dict(totals)
