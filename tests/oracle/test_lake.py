"""The oracle beside tables that the job really wrote."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3
import pytest

from oracle.lake import verdict
from oracle.model import Verdict
from tests.glue.lake import TestLake, at, event, key, lines

pytestmark = pytest.mark.spark


def judged(lake: TestLake, **given: Any) -> Verdict:
    return verdict(boto3.Session(), lake.landing, **given)


def test_a_lake_of_every_kind_of_line_is_as_the_oracle_says_and_stays_so_when_rebuilt(lake: TestLake) -> None:
    night = at("2026-10-31 23:50:00")
    batch = [event(night, film_id=film) for film in (1, 2, 999)]
    first = lake.land(night, *batch)
    lake.put(
        key(night + timedelta(minutes=5)), lines(event(night)) + b"\n{half\n\xff\n" + lines(event(night, state=""))
    )
    lake.land(night + timedelta(minutes=30), *batch, event(night))  # redelivered across the month's edge
    lake.put("streaming/2026/11/notes.txt", b"hello\n")
    lake.land(night + timedelta(hours=1), event(night, event_id=batch[0]["event_id"], state="Iowa"))
    lake.hourly()
    found = judged(lake, ledger=[one["event_id"] for one in batch])
    assert found.ok, str(found)
    assert (found.objects, found.landed, found.enriched, found.duplicates, found.unknown_films) == (5, 13, 5, 3, 1)
    assert found.quarantined["conflicting event_id"] == 1
    lake.rebuild("2026-10")
    lake.rebuild("2026-11")
    again = judged(lake)
    assert again.ok, str(again)
    assert again.hash == found.hash
    november = judged(lake, month="2026-11")
    assert november.ok, str(november)
    assert (november.objects, november.duplicates) == (3, 3)
    assert first not in str(november)
