"""The whole recount: lists and fetches what landed, reads the tables, compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import boto3

from oracle.judge import LOOK_BACK, compare, expect
from oracle.lines import DAY, LANDED, REPAIRED, place
from oracle.model import Film, Verdict
from oracle.tables import Tables

_FETCHED_AT_ONCE = 16


def verdict(
    session: boto3.Session,
    landing_bucket: str,
    films: Mapping[int, Film] | None = None,
    ledger: Iterable[str] = (),
    month: str | None = None,
) -> Verdict:
    """Hold the curated tables against the landing bucket.

    Args:
        session: may list and read the bucket, read the tables in Glue and their files.
        landing_bucket: where events land.
        films: the catalogue that the events were enriched with; curated.film_category if not given.
        ledger: acknowledged event ids.
        month: only this arrival month (yyyy-MM); then an id of the ledger may also be in another month's rows.
    """
    tables = Tables(session)
    s3 = session.client("s3")
    keys = landed_keys(s3, landing_bucket, month)
    expected = expect(fetched(s3, landing_bucket, keys), tables.films() if films is None else films)
    wanted = set(ledger)
    if month:
        expected = expected.of_month(month)
        wanted -= tables.holds(sorted(wanted - expected.event_ids))
    return compare(expected, tables.actual(month), wanted)


def landed_keys(s3: Any, bucket: str, month: str | None = None) -> list[str]:
    """Objects of events and repairs; with a month its own, and those whose name is at most 48 hours older."""
    roots = (f"{LANDED}/", f"{REPAIRED}/")
    if month is None or "unknown" in month:
        return [key for root in roots for key in _listed(s3, bucket, root) if not month or place(key).month == month]
    own = [key for root in roots for key in _listed(s3, bucket, f"{root}{month.replace('-', '/')}/")]
    times = [time for key in own if (time := place(key).time) is not None]
    if not times:
        return own
    since, until = min(times) - LOOK_BACK, max(times)
    keys = list(own)
    for other in _months(since - 2 * DAY, until + 2 * DAY) - {month}:
        for root in roots:
            for key in _listed(s3, bucket, f"{root}{other.replace('-', '/')}/"):
                time = place(key).time
                if time is not None and since <= time <= until:
                    keys.append(key)
    return keys


def fetched(s3: Any, bucket: str, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Keys with their objects' bytes, a few fetched at a time."""

    def get(key: str) -> tuple[str, bytes]:
        return key, s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    rest = iter(keys)
    with ThreadPoolExecutor(_FETCHED_AT_ONCE) as pool:
        while some := list(islice(rest, _FETCHED_AT_ONCE)):
            yield from pool.map(get, some)


def _listed(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (entry["Key"] for entry in page.get("Contents", []) if entry["Size"])


def _months(since: int, until: int) -> set[str]:
    days = range(since, until + DAY, DAY)
    return {f"{datetime.fromtimestamp(second, UTC):%Y-%m}" for second in days}
