"""The oracle and the job choose the same copy of a redelivered event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from datalake_spark.landed_lines import CONTENT
from datalake_spark.redelivery import COPY, judge, shared_copies
from oracle.expectation import expect
from oracle.lines import read
from oracle.model import Enriched
from tests.oracle.worlds import body, event, identity, key

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("seed", range(3))
def test_any_copies_are_judged_alike(spark: Any, seed: int) -> None:
    rng = Random(seed)
    first = datetime(2026, 10, 28, tzinfo=UTC)
    objects = {}
    for _ in range(120):
        # Whole hours, so that many pairs lie exactly 48 hours apart, and many objects have one time
        time = first + timedelta(hours=rng.randrange(240))
        stamp = first.isoformat()
        lines = [
            event(timestamp=stamp, event_id=identity(rng.randrange(60)), state=rng.choice(("Utah", "Iowa")))
            if rng.random() < 0.9
            else event(timestamp=stamp)
            for _ in range(rng.randint(1, 4))
        ]
        objects[key(time, rng.getrandbits(128))] = body(*lines)
    rows, good = [], set()
    for name, text in objects.items():
        landed = read(name, text, set())
        for number, line in landed.lines.items():
            assert isinstance(line, Enriched)
            good.add((name, number))
            content = dict(zip(CONTENT, line[:6], strict=True))
            place = {"object_time": landed.time, "source_file": name, "source_line": number}
            row = {**content, **place, "event_id": line.event_id, "fresh": True, "mine": True}
            rows.append(tuple(row[column] for column in COPY))
    types = {"film_id_streaming": "int", "object_time": "bigint", "source_line": "int", "fresh": "boolean"}
    types["mine"] = "boolean"
    frame = spark.createDataFrame(rows, ", ".join(f"{name} {types.get(name, 'string')}" for name in COPY))
    judged = judge(shared_copies(frame, None)).where("verdict IS NOT NULL").collect()
    jobs = {(row.source_file, row.source_line): row.verdict for row in judged}
    ours = {
        (name, number): line.reason
        for name, landed in expect(objects.items(), {}).objects.items()
        for number, line in landed.lines.items()
        if not isinstance(line, Enriched)
    }
    assert ours == jobs
    assert {"duplicate", "conflicting event_id"} == set(ours.values())
    assert good - ours.keys()
