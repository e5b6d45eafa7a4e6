"""The faults' table of docs/reliability.md: written from the tests and from their last recorded run.

``python -m tests.faults.report`` writes the table anew (``make docs``). With ``--seeds n`` it runs every fault's tests
first, records how they ended, prints a summary, and exits 1 unless every fault was tried and every try passed
(``make faults``); ``--only`` tries some faults again and keeps the record of the others.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from local.engines import java
from local.settings import ROOT
from tests.faults.catalogue import Fault

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: written by make faults -->\n", "<!-- end of faults -->\n"
_LINK = "../tests/faults"
LANES = ("fault and spark", "fault and not spark")  # run at the same time, because neither of them fills two cores


def tests_of_faults() -> dict[str, list[tuple[str, str]]]:
    """Fault's name -> (file, function) of each test marked with it, as the sources of this folder say."""
    found = defaultdict(list)
    for path in sorted(HERE.glob("test_*.py")):
        for function in ast.parse(path.read_text()).body:
            if isinstance(function, ast.FunctionDef):
                for name in _faults(function):
                    found[name].append((path.name, function.name))
    return dict(found)


def _faults(function: ast.FunctionDef) -> Iterator[str]:
    """Yield X for each decorator ``@fault(Fault.X, ...)``."""
    for decorator in function.decorator_list:
        match decorator:
            case ast.Call(func=ast.Name(id="fault"), args=[ast.Attribute(value=ast.Name(id="Fault"), attr=name)]):
                yield name


def table(results: dict[str, Any]) -> str:
    """A Markdown table with a row for each fault, and a line on the last run."""
    tests = tests_of_faults()
    lines = ["| # | fault | what must happen | tests | last result |", "|---|---|---|---|---|"]
    for which in Fault:
        links = [f"[{_sentence(name)}]({_LINK}/{file})" for file, name in tests.get(which.name, [])]
        result = _result(results["faults"].get(which.name))
        cells = [str(which.number), which.what, which.expected, "<br>".join(links), result]
        lines.append("| " + " | ".join(cell.replace("\\", "\\\\") for cell in cells) + " |")
    return "\n".join([*lines, "", _run_line(results)]) + "\n"


def _sentence(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")


def _result(found: dict[str, Any] | None) -> str:
    return f"{found['passed']}/{found['runs']}, {found['seconds']:.0f} s" if found else "not run"


def _run_line(results: dict[str, Any]) -> str:
    runs = sum(found["runs"] for found in results["faults"].values())
    return f"Last run: {results['date']}, {results['seeds']} seeds, {runs} runs, {results['minutes']:.0f} minutes."


def document(text: str, results: dict[str, Any]) -> str:
    """The document's text, with a new table between its markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table(results)}{END}{after}"


def summary(results: dict[str, Any]) -> tuple[str, bool]:
    """What ``make faults`` prints at its end, and whether every fault was tried and passed every time."""
    lines, whole = [], 0
    for which in Fault:
        found = results["faults"].get(which.name)
        passed = bool(found and found["passed"] == found["runs"])
        whole += passed
        lines.append(f"{'ok' if passed else 'FAILED':6} {which.number:3} {which.what:55} {_result(found):>16}")
    return "\n".join([*lines, f"{whole}/{len(Fault)} faults. {_run_line(results)}"]), whole == len(Fault)


def run_faults(seeds: int, only: Collection[str] = ()) -> None:
    """Run every fault's tests, or those of the faults in ``only``, and show their output; those on Spark run beside the
    others.

    A test that fails is recorded and raises nothing. The record of other faults stays.
    """
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if only else {"minutes": 0.0, "faults": {}}
    RESULTS.unlink(missing_ok=True)  # so that an interrupted run does not leave the results of the one before it
    tests = [f"{HERE / file}::{test}" for name in only for file, test in tests_of_faults()[name]] or [str(HERE)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(LANES)) as lanes:
        targets = [Path(folder) / str(number) for number in range(len(LANES))]
        list(lanes.map(lambda lane, target: _run_lane([*tests, "-m", lane], seeds, target), LANES, targets))
        results = merged([json.loads(target.read_text()) for target in targets])
    results["minutes"] = round(kept["minutes"] + (time.monotonic() - began) / 60, 1)
    results["faults"] = {
        which.name: found for which in Fault if (found := (kept["faults"] | results["faults"]).get(which.name))
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def _run_lane(tests: list[str], seeds: int, target: Path) -> None:
    """Run these tests; tests/faults/conftest.py writes how they ended to ``target``."""
    options = ["--seeds", str(seeds), "--fault-results", str(target), "--durations=0", "--durations-min=60", "-v"]
    command = [sys.executable, "-m", "pytest", *tests, *options]
    environment = os.environ | java.environment() | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as lane:
        assert lane.stdout
        for line in lane.stdout:  # whole lines, so that the two lanes' output does not mix within one
            print(line, end="", flush=True)  # noqa: T201


def merged(lanes: list[dict[str, Any]]) -> dict[str, Any]:
    """One record of runs that ran beside each other; a fault may have tests in more than one of them."""
    faults: dict[str, dict[str, float]] = {}
    for which in Fault:
        parts = [lane["faults"][which.name] for lane in lanes if which.name in lane["faults"]]
        if parts:
            faults[which.name] = {key: round(sum(part[key] for part in parts), 1) for key in parts[0]}
    return {**lanes[0], "faults": faults}


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, help="run the tests first, each so often")
    parser.add_argument("--only", nargs="+", default=(), choices=[which.name for which in Fault], metavar="FAULT")
    given = parser.parse_args()
    seeds = given.seeds
    if seeds:
        run_faults(seeds, given.only)
    results = json.loads(RESULTS.read_text())
    DOCUMENT.write_text(document(DOCUMENT.read_text(), results))
    if not seeds:
        return 0
    text, passed = summary(results)
    print(text)  # noqa: T201
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
