"""Lines and films that are not right (faults 21 to 24)."""

from __future__ import annotations

import base64
import io
import json
from datetime import timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datalake.events import EXPECTED
from datalake.json_lines import SEVERAL_VALUES
from datalake.run_reports import report_key
from datalake.tables import SAKILA
from datalake_spark.enrichment import UnusableFilms
from glue import film_category, streaming_films
from glue.streaming_films import MIN_BAD_LINES
from tests.faults import worlds
from tests.faults.catalogue import Fault, fault
from tests.faults.judging import exact, take_all
from tests.glue.lake import TestLake

pytestmark = [pytest.mark.spark, pytest.mark.services]

LONGEST = 1_024_000  # bytes of a record that Firehose takes


def quarantined(lake: TestLake) -> dict[tuple[str, int], tuple[str, bytes]]:
    """(file, line) -> (reason, the line's bytes)."""
    found = {}
    for row in lake.quarantine().collect():
        raw = row.raw.encode() if row.raw_encoding == "utf-8" else base64.b64decode(row.raw)
        found[row.source_file, row.source_line] = (row.reason, raw)
    return found


@fault(Fault.NO_DELIMITER)
def test_records_without_a_delimiter_are_quarantined_and_their_neighbours_kept(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    time = worlds.month_start(rng) + timedelta(hours=7)
    lines, stuck = [], {}
    for number in range(1, 30):
        joined = b"".join(worlds.events(rng, time, 1 if rng.random() < 0.7 else rng.randint(2, 5)))
        lines.append(joined)
        if joined.count(b'"timestamp"') > 1:
            stuck[number] = joined
    key = lake.put(worlds.key(rng, time), worlds.body(lines))
    take_all(lake, rng, f"{time:%Y-%m}")
    assert quarantined(lake) == {(key, number): (SEVERAL_VALUES, raw) for number, raw in stuck.items()}
    assert exact(lake).enriched == len(lines) - len(stuck)


@fault(Fault.MALFORMED_LINES)
def test_bad_lines_are_quarantined_with_file_line_reason_and_text(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    time = worlds.month_start(rng) + timedelta(hours=7)
    bad = [worlds.spoiled(rng, time) for _ in range(30)]
    one = worlds.event(rng, time)
    fits = worlds.line(one | {"note": "x" * (LONGEST - len(worlds.line(one | {"note": ""})))})
    lines: list[tuple[bytes, str | None]] = [
        *bad,
        (b"\x00\x80\xff", "not UTF-8"),
        (fits, None),
        (fits + b" ", "line too long"),
        *((good, None) for good in worlds.events(rng, time, 10)),
        *((blank, None) for blank in (b"", b" \t\r")),
    ]
    rng.shuffle(lines)
    key = lake.put(worlds.key(rng, time), b"\n".join(raw for raw, _ in lines))
    take_all(lake, rng, f"{time:%Y-%m}")
    kept = {(key, number): (reason, raw) for number, (raw, reason) in enumerate(lines, start=1) if reason}
    assert quarantined(lake) == kept
    assert exact(lake).enriched == 11


@fault(Fault.MALFORMED_LINES)
def test_too_many_bad_lines_are_committed_and_reported(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    time = worlds.month_start(rng) + timedelta(hours=7)
    bound = rng.choice((0.05, 0.2, 0.5))
    bad = rng.randint(MIN_BAD_LINES, 2 * MIN_BAD_LINES)
    too_many = rng.random() < 0.7
    good = int(bad / bound) - bad - 1 if too_many else int(bad / bound) - bad + 1
    lines = worlds.events(rng, time, good) + [b"{bad"] * bad
    rng.shuffle(lines)
    cut = rng.randrange(len(lines))
    for part in (lines[:cut], lines[cut:]):  # a share of the run, not of an object
        lake.put(worlds.key(rng, time), worlds.body(part))
    arguments = ["--landing_bucket", lake.landing, "--curated_bucket", lake.curated, "--JOB_RUN_ID", "jr_bad"]
    arguments += rng.choice((["--mode", "hourly"], ["--mode", "rebuild", "--month", f"{time:%Y-%m}"]))
    arguments += ["--max_bad_share", str(bound)]
    streaming_films.main(arguments)
    written = lake.s3.get_object(Bucket=lake.curated, Key=report_key(streaming_films.JOB, "jr_bad"))
    verdict = json.loads(written["Body"].read())["too_many_bad"]
    if too_many:
        assert verdict.startswith(f"{bad} of {len(lines):,} lines are bad, more than {bound:.1%}: {bad} not JSON")
    else:
        assert verdict is None
    found = exact(lake)
    assert (found.enriched, dict(found.quarantined)) == (good, {"not JSON": bad})


@fault(Fault.ODD_FILM_ID)
def test_an_unknown_film_is_kept_and_counted_and_an_impossible_one_quarantined(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    time = worlds.month_start(rng) + timedelta(hours=7)
    unknown = [11, 999, 1000, 2**31 - 1, rng.randint(1001, 2**31 - 2)]
    missing = [None, "left out"]
    impossible = ["12abc", "012", "", 0, -1, 2**31, 10**30, -1.0, 0.5, True, False, [1], {"film_id": 1}]
    films = [*unknown, *missing, *impossible, *rng.choices(worlds.FILMS, k=5)]
    rng.shuffle(films)
    lines = []
    for film in films:
        one = worlds.event(rng, time)
        lines.append(
            worlds.line(
                {n: v for n, v in one.items() if n != "film_id"} if film == "left out" else one | {"film_id": film}
            )
        )
    key = lake.put(worlds.key(rng, time), worlds.body(lines))
    reports = take_all(lake, rng, f"{time:%Y-%m}")
    reasons = {number: reason for (_, number), (reason, _) in quarantined(lake).items()}
    assert reasons == {
        n: "missing field: film_id" if film in missing else EXPECTED["film_id"]
        for n, film in enumerate(films, start=1)
        if film in missing or _is_in(film, impossible)
    }
    rows = {row.source_line: row for row in lake.films().collect()}
    without = sorted(row.film_id_streaming for row in rows.values() if row.film_id is None)
    assert without == sorted(unknown)
    assert all(row.title is None and row.source_file == key for row in rows.values() if row.film_id is None)
    assert [report.unknown_films for report in reports] == [len(unknown)]
    assert exact(lake).unknown_films == len(unknown)


def _is_in(value: Any, values: list[Any]) -> bool:
    """Whether the value is there with its type: True is not 1."""
    return any(type(value) is type(one) and value == one for one in values)


@fault(Fault.FILM_TWICE)
def test_a_film_in_two_categories_is_refused_and_no_event_fans_out(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    time = worlds.month_start(rng) + timedelta(hours=7)
    twice = rng.choice(worlds.FILMS)
    lake.put(worlds.key(rng, time), worlds.body(worlds.events(rng, time, 5, film_id=twice)))
    if rng.random() < 0.5:
        lake.hourly()
        lake.put(worlds.key(rng, time), worlds.body(worlds.events(rng, time, 5, film_id=twice)))
    before = lake.snapshots() if lake.spark.catalog.tableExists("glue_catalog.curated.streaming_films") else 0
    if rng.random() < 0.5:  # the job refuses the clean tables, and the films of before stay
        _clean_tables(lake, twice)
        with pytest.raises(film_category.UnusableFilms, match=f"more than one row .*: {twice}$"):
            film_category.run(lake.spark, lake.curated, lake.curated, "jr_twice")
    else:  # somebody wrote the curated table by other means
        lake.set_films([*worlds.FILMS, twice])
        with pytest.raises(UnusableFilms, match="not one a film"):
            take_all(lake, rng, f"{time:%Y-%m}")
        assert lake.snapshots() == before
        lake.set_films(worlds.FILMS)
    take_all(lake, rng, f"{time:%Y-%m}")
    exact(lake)


def _clean_tables(lake: TestLake, twice: int) -> None:
    """The clean tables that film_category reads, one film in two categories."""
    links = [(film, film % 3) for film in worlds.FILMS] + [(twice, 7)]
    contents = {
        "film": [{"film_id": film, "title": f"FILM {film}"} for film in worlds.FILMS],
        "film_category": [{"film_id": film, "category_id": category} for film, category in links],
        "category": [{"category_id": category, "name": "some"} for category in (0, 1, 2, 7)],
    }
    for name, rows in contents.items():
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        lake.s3.put_object(Bucket=lake.curated, Key=f"{SAKILA[name].prefix}LOAD.parquet", Body=sink.getvalue())
