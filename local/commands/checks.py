"""``make lint`` and ``make test``: every check there is, with the time that each took.

A check that fails does not keep the later ones from running; the exit code is 1 if any failed. The tiers of tests run
beside each other, because each waits much of its time: the longest first.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, cast

from local.engines import java
from local.settings import ROOT, TOOLS
from local.supervision.reaper import children_of

PROGRAMS = TOOLS / "airflow" / "bin"
TIERS = ("services", "spark", "trino", "journey")
LANES = 3  # on two cores: each waits much of its time, for processes to start and for what they agree on
SAY_SECONDS = 60.0  # between two lines on what runs
_PYTEST = ["python", "-m", "pytest", "-q", "-m"]


@dataclass
class Check:
    """One check, and how it ended."""

    name: str
    command: list[str]
    began: float = 0.0
    seconds: float = 0.0
    passed: bool = False

    def start(self, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Begin it; what it prints goes to ``output``, else to where ours goes."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= java.environment()
        environment["PATH"] = f"{PROGRAMS}{os.pathsep}{environment['PATH']}"
        # What a shell starts in the background ignores SIGINT, and so would all that it starts: nothing could end it.
        command = ["env", "--default-signal=INT", str(PROGRAMS / self.command[0]), *self.command[1:]]
        print(f"== {self.name}{' begin' if output else ''}", flush=True)
        self.began = time.monotonic()
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)

    def end(self, code: int) -> Check:
        """Note how it ended."""
        self.passed, self.seconds = code == 0, time.monotonic() - self.began
        return self

    def run(self) -> Check:
        """Run it alone, its output on ours."""
        child = self.start()
        with interrupted_with_us([child]):
            return self.end(child.wait())


@contextmanager
def interrupted_with_us(children: Collection[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Interrupt what runs, and wait for its end, when the body is left early."""
    try:
        yield
    except BaseException:
        for child in children:
            child.send_signal(signal.SIGINT)
        for child in children:
            child.wait()
        raise


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


def beside_each_other(checks: Iterable[Check]) -> Iterator[Check]:
    """Run LANES checks at a time, begun in this order; each, with what it printed, as it has ended."""
    waiting, said = list(checks), time.monotonic()
    running: dict[subprocess.Popen[bytes], tuple[Check, IO[bytes]]] = {}
    with ExitStack() as files, interrupted_with_us(running.keys()):
        while waiting or running:
            while waiting and len(running) < LANES:
                check, output = waiting.pop(0), cast("IO[bytes]", files.enter_context(tempfile.TemporaryFile()))
                running[check.start(output)] = check, output
            ended = [child for child in running if child.poll() is not None]
            if not ended:
                time.sleep(0.2)
            for child in ended:
                check, output = running.pop(child)
                check.end(child.returncode)
                output.seek(0)
                print(f"== {check.name}", flush=True)
                shutil.copyfileobj(output, sys.stdout.buffer)
                sys.stdout.flush()
                yield check
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                times = (f"{check.name} {said - check.began:.0f} s" for check, _ in running.values())
                print(f"   {', '.join(times)}", flush=True)


def run_all() -> Iterator[Check]:
    """Lint and every test; each as it has ended."""
    yield from run_lint()
    yield security().run()
    yield from beside_each_other([tier("spark"), tier("journey"), fast_tests(), tier("services"), tier("trino")])


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
