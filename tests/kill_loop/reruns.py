"""What had to be done a second time, counted from the records of those who did it.

task retries     tries of a task beyond its first, as Airflow's API gives them
failed runs      DAG runs that used up their retries; the next run does their work
job runs         Glue runs beyond one for each try of the tasks that start them
redeliveries     invocations of the Lambda that failed (the emulator's log); SQS delivers each batch again
resent           notifications that the sensor sent a second time (its tasks' logs)
A DMS load is started by a try of ``run_full_load``, one at most by each: a load beyond the first is a task retry.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3

from datalake.names import Lake
from tests.kill_loop.workload import Dags, answered
from tests.support.own_home import Home

PAGE = 100


def count(home: Home, dags: Dags, session: boto3.Session) -> dict[str, int]:
    """Re-runs by kind."""
    tasks = _task_instances(dags)
    tries = sum(task["try_number"] for task in tasks if task["task_id"] == "run_job")
    return {
        "task retries": sum(max(0, task["try_number"] - 1) for task in tasks),
        "failed runs": len(_failed_runs(dags)),
        "job runs": max(0, _job_runs(session) - tries),
        "redeliveries": _lines(home.settings.logs / "emulator.log", "failed processing SQS batch"),
        "resent": sum(
            _lines(path, "Sending the notification of") for path in home.settings.logs.glob("airflow/**/*.log")
        ),
    }


def failed_runs(dags: Dags) -> list[str]:
    """DAG and run id of each run that failed."""
    return [f"{run['dag_id']} {run['dag_run_id']}" for run in _failed_runs(dags)]


def _failed_runs(dags: Dags) -> list[dict[str, Any]]:
    return _all(dags, "/dags/~/dagRuns", "dag_runs", state="failed")


def _task_instances(dags: Dags) -> list[dict[str, Any]]:
    return _all(dags, "/dags/~/dagRuns/~/taskInstances", "task_instances")


def _all(dags: Dags, path: str, what: str, **params: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []

    def page() -> dict[str, Any]:
        return dags.api.get(path, limit=PAGE, offset=len(found), order_by="id", **params)

    while True:
        got = answered(page)
        found += got[what]
        if len(found) >= got["total_entries"]:
            return found


def _job_runs(session: boto3.Session) -> int:
    lake, glue = Lake.from_environment(), session.client("glue")
    pages = glue.get_paginator("get_job_runs")
    jobs = (lake.film_category_job, lake.streaming_films_job)
    return sum(len(page["JobRuns"]) for job in jobs for page in pages.paginate(JobName=job))


def _lines(path: Path, text: str) -> int:
    with path.open(errors="replace") as lines:
        return sum(text in line for line in lines)
