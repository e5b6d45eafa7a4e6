"""What a job says about itself. Airflow shows the last lines of it in the log of the task that started the job."""

from __future__ import annotations

import logging
import sys
import time

from datalake.run_reports import RunReport


def begin(*names: str) -> None:
    """Let the loggers of these names write to stdout, which Glue keeps apart from Spark's own lines on stderr."""
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    for name in names:
        logging.getLogger(name).setLevel(logging.INFO)


def write(log: logging.Logger, report: RunReport) -> None:
    """Log a run's report, one line for each of its numbers."""
    for name, value in report.items():
        log.info("%s: %s", name, value)


class Stopwatch:
    """Logs the seconds that each step took."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._since = time.monotonic()

    def lap(self, step: str) -> None:
        """Say that ``step`` is done, and how long it took since the step before."""
        now = time.monotonic()
        self._log.info("%s: %.1f s", step, now - self._since)
        self._since = now
