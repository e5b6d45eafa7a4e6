"""What the demo prints at the end: an analyst's queries of the tables, reconciled with the landed objects."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import boto3
from rich.console import Console

from datalake.names import RUNS_PREFIX, STREAMING_PREFIX, Lake
from local.commands.analyst import Analyst, Rows, dollars, scanned, seconds, show
from local.settings import ENVIRONMENT, SUFFIX
from local.supervision.control import HomeError

LAKE = Lake(ENVIRONMENT, SUFFIX)
FIVE_ROWS = (
    "select event_time, eventtype, title, category_name, state, platform"
    " from streaming_films order by event_time desc, event_id limit 5"
)


def run_reports(session: boto3.Session, since: datetime) -> list[dict[str, Any]]:
    """Reports that the enrichment's runs have written since a moment."""
    found = session.resource("s3").Bucket(LAKE.curated_bucket).objects.filter(Prefix=f"{RUNS_PREFIX}streaming_films/")
    reports = [json.loads(one.get()["Body"].read()) for one in found if one.last_modified >= since]
    return sorted(reports, key=lambda r: (r["mode"], r["months"]))


def results(console: Console, session: boto3.Session, since: datetime) -> dict[str, Any]:
    """Ask the lake, print the answers, and return them; raises HomeError when the counts do not add up."""
    analyst = Analyst(session, LAKE)
    found: dict[str, Any] = {}
    executed: dict[str, dict[str, Any]] = {}

    def run(name: str, sql: str) -> tuple[list[str], Rows]:
        try:
            executed[name] = analyst.execute(sql)
        except HomeError as error:
            raise HomeError(f"{name}: {error}") from error
        return analyst.answer(executed[name])

    for what in ("Categories", "States"):
        name = f"Overall-Top-Streaming-{what}"
        columns, found[name] = run(name, analyst.named(name))
        show(console, f"Top {what.lower()} (saved query {name})", columns, found[name][:5])
    show(console, "Five rows of curated.streaming_films", *run("Five rows of streaming_films", FIVE_ROWS))
    columns, counts = run("Streaming-Reconciliation", analyst.named("Streaming-Reconciliation"))
    found["months"] = [dict(zip(columns, row, strict=True)) for row in counts]
    found["landed"] = landed_lines(session)
    title = "Reconciled: landed = enriched + quarantined + duplicates (saved query Streaming-Reconciliation)"
    shown = ["month", "landed", "enriched", "quarantined", "duplicates"]
    show(console, title, shown, [[month[name] for name in shown] for month in found["months"]])
    check(found["months"], found["landed"])
    _, films = run("Films", "select count(*) from film_category")
    found["films"] = int(films[0][0] or 0)
    found["runs"] = run_reports(session, since)
    console.print(
        f"Films in curated.film_category: [bold]{found['films']}[/]; job runs reconciled: {len(found['runs'])}"
    )
    costs: Rows = [
        [name, f"{scanned(one):,}", f"{seconds(one):.1f}", f"{dollars(one):.5f}"] for name, one in executed.items()
    ]
    title = "What the queries cost on AWS ($5 a terabyte, 10 MB at least)"
    show(console, title, ["query", "bytes scanned", "seconds", "dollars"], costs)
    return found


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
