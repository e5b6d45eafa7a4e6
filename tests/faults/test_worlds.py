"""Everything at once: a drawn world lands in a drawn order between drawn runs (fault 15)."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from tests.faults import worlds
from tests.faults.catalogue import Fault, fault
from tests.faults.judging import exact, sweep
from tests.glue.lake import TestLake

pytestmark = [pytest.mark.spark, pytest.mark.services]


@fault(Fault.OUT_OF_ORDER)
def test_late_skipped_repeated_and_mixed_runs_over_any_world_end_exact(lake: TestLake, seed: int) -> None:
    rng = Random(seed)
    edge = worlds.month_start(rng)
    months = [f"{edge - timedelta(days=1):%Y-%m}", f"{edge:%Y-%m}"]
    landed = worlds.world(rng, edge, objects=7)
    cuts = sorted(rng.sample(range(1, len(landed)), 2))
    stale: set[str] = set()
    for batch in (landed[: cuts[0]], landed[cuts[0] : cuts[1]], landed[cuts[1] :]):
        for one in batch:
            lake.put(one.key, one.body)
        match rng.choice(("skipped", "hourly", "hourly", "twice", "sweep", "rebuild")):
            case "hourly":
                lake.hourly()
            case "twice":
                lake.hourly()
                assert lake.hourly().landed == 0
            case "sweep":
                sweep(lake)
            case "rebuild":
                stale |= lake.rebuild(rng.choice(months)).stale_months
    # What an operator does in the end: the daily sweep, and the months that a rebuild named.
    sweep(lake)
    for month in sorted(stale):
        lake.rebuild(month)
    exact(lake)
    assert sweep(lake).landed == 0
