"""Seeds for the faults' tests, and the record of what they found."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults.catalogue import Fault

_outcomes: dict[str, list[tuple[bool, float]]] = defaultdict(list)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``seed``: 0 to ``--seeds`` - 1; a fifth of them, one at least, for tests that kill a Spark process."""
    mark = metafunc.definition.get_closest_marker("fault")
    if mark and "seed" in metafunc.fixturenames:
        seeds = metafunc.config.getoption("--seeds")
        metafunc.parametrize("seed", range(max(1, seeds // 5) if mark.kwargs["kills_spark"] else seeds))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Keep how each fault's tests ended; a failed set-up or an end that fails counts as a failure."""
    report: Any = yield
    mark = item.get_closest_marker("fault")
    if mark and (report.when == "call" or report.outcome != "passed"):
        which: Fault = mark.args[0]
        _outcomes[which.name].append((report.outcome == "passed", report.duration))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the record where ``--fault-results`` says."""
    target = session.config.getoption("--fault-results")
    if target:
        found = {
            name: {
                "runs": len(outcomes),
                "passed": sum(passed for passed, _ in outcomes),
                "seconds": round(sum(seconds for _, seconds in outcomes), 1),
            }
            for name, outcomes in _outcomes.items()
        }
        record = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "seeds": session.config.getoption("--seeds"),
            "faults": found,
        }
        Path(target).write_text(json.dumps(record, indent=1) + "\n")
