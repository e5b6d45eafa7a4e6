"""``make lint`` and ``make test``: every check there is, with the time that each took.

A check that fails does not keep the later ones from running; the exit code is 1 if any failed. The tests on Spark take
about as long as all others together, and neither fills two cores, so they run beside each other.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from local import java
from local.reaper import children_of
from local.settings import ROOT, TOOLS

PROGRAMS = TOOLS / "airflow" / "bin"
TIERS = ("services", "spark", "trino", "journey")
_PYTEST = ["python", "-m", "pytest", "-q", "-m"]


@dataclass
class Check:
    """One check, and how it ended."""

    name: str
    command: list[str]
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    passed: bool = False

    @contextmanager
    def running(self, output: IO[bytes] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """Run it to its end, beside the body; what it has started is interrupted with it."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= java.environment()
        environment["PATH"] = f"{PROGRAMS}{os.pathsep}{environment['PATH']}"
        # What a shell starts in the background ignores SIGINT, and so would all that it starts: nothing could end it.
        command = ["env", "--default-signal=INT", str(PROGRAMS / self.command[0]), *self.command[1:]]
        print(f"== {self.name}{', beside the others' if output else ''}", flush=True)
        self.began = time.monotonic()
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            yield child
            self.passed = child.wait() == 0
            self.seconds = time.monotonic() - self.began
        except BaseException:
            child.send_signal(signal.SIGINT)
            child.wait()
            raise

    def run(self) -> Check:
        """Run it alone, its output on ours."""
        with self.running():
            return self


def lint() -> Iterator[Check]:
    """Each check that runs nothing of ours."""
    yield Check("ruff check", ["ruff", "check", "."])
    yield Check("ruff format", ["ruff", "format", "--check", "."])
    yield Check("mypy", ["mypy"])
    yield Check("sqlfluff", ["sqlfluff", "lint", "--disable-progress-bar", "include/sql"])
    yield Check("cfn-lint", ["cfn-lint", *sorted(str(path) for path in (ROOT / "infrastructure").glob("*.yaml"))])


def security() -> Check:
    """The scanners, which have an environment of their own."""
    return Check("security", ["python", "-m", "local", "scan"])


def fast_tests() -> Check:
    """The tests that need no service."""
    return Check("fast tests", [*_PYTEST, " and ".join(f"not {tier}" for tier in TIERS)])


def tier(name: str) -> Check:
    """A tier of tests. One that needs two kinds of service belongs to the later tier."""
    later = TIERS[TIERS.index(name) + 1 :]
    return Check(f"{name} tests", [*_PYTEST, " and ".join([name, *(f"not {other}" for other in later)])])


def run_lint() -> Iterator[Check]:
    """One after the other; each as it has ended."""
    for check in lint():
        yield check.run()


def run_all() -> Iterator[Check]:
    """Lint and every test; each as it has ended."""
    yield from run_lint()
    yield security().run()
    spark = tier("spark")
    with tempfile.TemporaryFile() as output:
        with spark.running(output):
            yield fast_tests().run()
            for name in TIERS:
                if name != "spark":
                    yield tier(name).run()
        output.seek(0)
        print(f"== {spark.name}", flush=True)
        shutil.copyfileobj(output, sys.stdout.buffer)
        sys.stdout.flush()
    yield spark


def main(arguments: list[str]) -> int:
    """``lint`` or ``test``; 0 when every check passed."""
    began = time.monotonic()
    ended = list(run_lint() if arguments == ["lint"] else run_all())
    print("== summary")
    for check in ended:
        print(f"{'passed' if check.passed else 'FAILED':7} {check.name:16} {check.seconds:7.1f} s")
    print(f"{'':7} {'together':16} {time.monotonic() - began:7.1f} s")
    if left := children_of(os.getpid()):
        print(f"still running: {left}", file=sys.stderr)
    return 0 if all(check.passed for check in ended) and not left else 1
