"""What a job logs is what Airflow shows of it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from datalake.run_reports import FilmCategoryReport
from datalake_spark import job_log

REPORT: FilmCategoryReport = {
    "job": "film_category",
    "run_id": "jr_1",
    "films": 1000,
    "categories": 16,
    "snapshot_id": 7,
}


def test_a_report_is_logged_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        job_log.write(logging.getLogger("a job"), REPORT)
    lines = ["job: film_category", "run_id: jr_1", "films: 1000", "categories: 16", "snapshot_id: 7"]
    assert caplog.messages == lines


def test_each_step_is_logged_with_its_own_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((100.0, 102.5, 103.0))
    monkeypatch.setattr(job_log.time, "monotonic", lambda: next(now))
    watch = job_log.Stopwatch(logging.getLogger("a job"))
    with caplog.at_level(logging.INFO):
        watch.lap("7 objects read")
        watch.lap("rows committed")
    assert caplog.messages == ["7 objects read: 2.5 s", "rows committed: 0.5 s"]


def test_it_goes_to_stdout_apart_from_the_log_of_spark() -> None:
    """On AWS a job's stdout and its stderr, to which Spark writes, are log groups of their own."""
    script = (
        "import logging; from datalake_spark import job_log; job_log.begin('job'); logging.getLogger('job').info('hi')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("INFO job: hi\n", "")
