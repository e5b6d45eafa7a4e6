"""The Lambda's handler in a process of its own, which a test can hold at a chosen moment, release, and kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["csv_to_parquet"])  # so that a new worker has its imports already

# Moments at which a worker can be held: names of botocore's events
BEFORE_READ, BEFORE_PUBLISH, AFTER_PUBLISH = (
    "before-call.s3.GetObject",
    "before-call.s3.PutObject",
    "after-call.s3.PutObject",
)
SECONDS = 60


class Worker:
    """Handles one event after the other, and waits at each of the moments ``hold`` until ``go`` is called."""

    def __init__(self, environment: Mapping[str, str], *hold: str) -> None:
        self._ours, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_work, args=(dict(environment), hold, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def handle(self, event: dict[str, Any]) -> None:
        """Send it an event to handle."""
        self._ours.send(event)

    def held(self) -> None:
        """Wait until it has reached a moment at which it is held."""
        assert self._answer() == "held"

    def go(self) -> None:
        """Release it."""
        self._ours.send("go")

    def answer(self) -> Any:
        """Wait for what the handler returns."""
        return self._answer()

    def _answer(self) -> Any:
        assert self._ours.poll(SECONDS), "the worker does not answer"
        return self._ours.recv()

    def memory(self, field: str) -> int:
        """Its memory in bytes, as Linux counts it: ``VmRSS`` now, ``VmHWM`` at its highest."""
        (line,) = (one for one in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if field in one)
        return int(line.split()[1]) * 1024

    def kill(self) -> None:
        """Send SIGKILL unless it has ended, and wait until it is gone."""
        if self.process.pid and self.process.is_alive():
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(SECONDS)


@contextmanager
def worker(environment: Mapping[str, str], event: dict[str, Any], *hold: str) -> Iterator[Worker]:
    """A worker that handles ``event`` first; it is killed at the end in any case."""
    running = Worker(environment, *hold)
    try:
        running.handle(event)
        yield running
    finally:
        running.kill()


def _work(environment: dict[str, str], hold: tuple[str, ...], test: Connection) -> None:
    import csv_to_parquet

    def wait(**_: object) -> None:
        test.send("held")
        test.recv()

    os.environ.update(environment)
    for moment in hold:
        csv_to_parquet._s3().meta.events.register(moment, wait)
    while True:
        test.send(csv_to_parquet.handler(test.recv(), None))
