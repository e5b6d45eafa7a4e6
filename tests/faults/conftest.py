"""The faults' tests: their seeds, the fixtures that several files use, and the record of what was found."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults.catalogue import Fault
from tests.faults.firehose_home import FirehoseHome, running_firehose
from tests.support.aws_services import Emulator
from tests.support.faulty_proxy import Proxy, faulty_proxy

_began = time.monotonic()
# By test, one entry for each phase (setup, call, teardown): a test whose teardown fails has failed, and ran once.
_outcomes: dict[str, list[tuple[Fault, bool, float]]] = defaultdict(list)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with the seeds 0 to ``--seeds`` - 1, but one that kills Spark with a fifth of them."""
    mark = metafunc.definition.get_closest_marker("fault")
    if mark and "seed" in metafunc.fixturenames:
        seeds = metafunc.config.getoption("--seeds")
        metafunc.parametrize("seed", range(max(1, seeds // 5) if mark.kwargs["kills_spark"] else seeds))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Record how each phase of a fault's tests ended; a skipped test proves nothing and counts as failed."""
    report: Any = yield
    mark = item.get_closest_marker("fault")
    if mark:
        _outcomes[item.nodeid].append((mark.args[0], report.outcome == "passed", report.duration))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the record to the file of ``--fault-results``."""
    target = session.config.getoption("--fault-results")
    if not target:
        return
    faults: dict[str, dict[str, float]] = {}
    for phases in _outcomes.values():
        found = faults.setdefault(phases[0][0].name, {"runs": 0, "passed": 0, "seconds": 0.0})
        found["runs"] += 1
        found["passed"] += all(passed for _, passed, _ in phases)
        found["seconds"] = round(found["seconds"] + sum(seconds for _, _, seconds in phases), 1)
    record = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "seeds": session.config.getoption("--seeds"),
        "minutes": round((time.monotonic() - _began) / 60, 1),
        "faults": {which.name: faults[which.name] for which in Fault if which.name in faults},
    }
    Path(target).write_text(json.dumps(record, indent=1) + "\n")


@pytest.fixture(scope="module")
def running_proxy(emulator: Emulator) -> Iterator[Proxy]:
    """One for all tests of a file: Spark keeps a file system for each address that it has seen."""
    with faulty_proxy(emulator.settings.emulator_url) as running:
        yield running


@pytest.fixture
def proxy(running_proxy: Proxy) -> Iterator[Proxy]:
    """A proxy in front of the session's emulator, without a plan and without a memory of earlier tests."""
    running_proxy.exchanges.clear()
    yield running_proxy
    running_proxy.plan = None


@pytest.fixture
def home(tmp_path: Path) -> Iterator[FirehoseHome]:
    """Firehose in a home of the test's own, because the emulator's alarms ignore dimensions."""
    with running_firehose(tmp_path / "home") as running:
        yield running
