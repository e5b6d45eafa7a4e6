"""What the tests of the enrichment share: runs drawn from a seed, and the oracle's verdict on a test's lake."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import boto3

from datalake_spark.report import Report
from oracle.model import Film, Verdict
from oracle.recount import verdict
from tests.faults import worlds
from tests.glue.lake import TestLake


def films(ids: Iterable[int] = worlds.FILMS) -> dict[int, Film]:
    """The films that ``TestLake.set_films`` writes."""
    return {
        f: Film(f, f"FILM {f}", "about it", 2006, 1, None, 90, "PG", "Trailers", f % 3, f"Category {f % 3}")
        for f in ids
    }


def exact(lake: TestLake) -> Verdict:
    """The oracle finds no fault in the tables, compared with everything that has landed."""
    found = verdict(boto3.Session(), lake.landing, films=films())
    assert found.ok, str(found)
    return found


def take_all(lake: TestLake, rng: Random, *months: str) -> list[Report]:
    """Commit all that has landed in these months, in a way that the seed chooses; the runs' reports."""
    way = rng.choice(("hourly", "sweep", "rebuild"))
    if way == "hourly":
        return [lake.hourly()]
    if way == "sweep":
        return [sweep(lake)]
    return [lake.rebuild(month) for month in rng.sample(months, len(months))]


def sweep(lake: TestLake) -> Report:
    """A run that looks at the whole landing zone."""
    run = lake.run()
    run.take_new(everything=True)
    return run.report


def empty(lake: TestLake) -> None:
    """Nothing has landed and no table has a row, but for the films."""
    listed = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.landing)
    for landed in [entry["Key"] for page in listed for entry in page.get("Contents", [])]:
        lake.s3.delete_object(Bucket=lake.landing, Key=landed)
    lake.clear()
    lake.set_films(worlds.FILMS)
