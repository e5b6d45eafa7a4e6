"""``make lint`` and ``make test``: every check there is, one after the other, with the time that each took.

A check that fails does not keep the later ones from running; the exit code is 1 if any failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from local import java
from local.reaper import children_of
from local.settings import ROOT, TOOLS

PROGRAMS = TOOLS / "airflow" / "bin"
TIERS = ("services", "spark", "trino", "journey")


def lint() -> Iterator[tuple[str, list[str]]]:
    """Name and command of each check that runs nothing of ours."""
    yield "ruff check", ["ruff", "check", "."]
    yield "ruff format", ["ruff", "format", "--check", "."]
    yield "mypy", ["mypy"]
    yield "sqlfluff", ["sqlfluff", "lint", "--disable-progress-bar", "include/sql"]
    yield "cfn-lint", ["cfn-lint", *sorted(str(path) for path in (ROOT / "infrastructure").glob("*.yaml"))]


def tests() -> Iterator[tuple[str, list[str]]]:
    """Name and command of each tier of tests, the fast ones first."""
    pytest = ["python", "-m", "pytest", "-q"]
    yield "fast tests", [*pytest, "-m", " and ".join(f"not {tier}" for tier in TIERS)]
    for number, tier in enumerate(TIERS):
        # A test that needs two kinds of service belongs to the later tier.
        yield f"{tier} tests", [*pytest, "-m", " and ".join([tier, *(f"not {later}" for later in TIERS[number + 1 :])])]


def run(command: list[str]) -> bool:
    """Run one check; what it starts is interrupted with it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= java.environment()
    environment["PATH"] = f"{PROGRAMS}{os.pathsep}{environment['PATH']}"
    child = subprocess.Popen([str(PROGRAMS / command[0]), *command[1:]], cwd=ROOT, env=environment)
    try:
        return child.wait() == 0
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        child.wait()
        raise


def main(arguments: list[str]) -> int:
    """``lint`` or ``test``; 0 when every check passed."""
    wanted = list(lint()) if arguments == ["lint"] else [*lint(), *tests()]
    results: list[tuple[str, bool, float]] = []
    for name, command in wanted:
        print(f"== {name}", flush=True)
        began = time.monotonic()
        results.append((name, run(command), time.monotonic() - began))
    print("== summary")
    for name, passed, seconds in results:
        print(f"{'passed' if passed else 'FAILED':7} {name:16} {seconds:7.1f} s")
    print(f"{'':7} {'together':16} {sum(seconds for _, _, seconds in results):7.1f} s")
    if left := children_of(os.getpid()):
        print(f"still running: {left}", file=sys.stderr)
    return 0 if all(passed for _, passed, _ in results) and not left else 1
