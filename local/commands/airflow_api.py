"""Airflow's public REST API as the demo uses it: trigger, watch, unpause. No database, no internals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from local.engines.waiting import wait_until
from local.installation.progress import Tick
from local.supervision.control import HomeError

POLL_SECONDS = 0.5
FINISHED = ("success", "failed")


class RunFailed(HomeError):
    """A DAG run ended in ``failed``; the message names its failed tasks and where their logs are shown."""


class AirflowApi:
    """A session at one Airflow. ``url`` is the UI's address, e.g. ``http://127.0.0.1:14505``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=30)
        token = self.client.get("/auth/token")
        token.raise_for_status()
        self.client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """GET below /api/v2; raises httpx.HTTPStatusError."""
        reply = self.client.get(f"/api/v2{path}", params=params)
        reply.raise_for_status()
        result: dict[str, Any] = reply.json()
        return result

    def import_errors(self) -> list[str]:
        """File and message of every DAG file that does not load."""
        return [f"{e['filename']}: {e['stack_trace']}" for e in self.get("/importErrors")["import_errors"]]

    def wait_for_dags(self, dag_ids: set[str], seconds: float = 60) -> None:
        """Until the DAG processor has parsed all of ``dag_ids``; HomeError names those that are missing."""

        def missing() -> set[str]:
            return dag_ids - {dag["dag_id"] for dag in self.get("/dags", limit=100)["dags"]}

        try:
            wait_until(lambda: not missing(), seconds, "Airflow has not read the DAGs", POLL_SECONDS)
        except TimeoutError as error:
            raise HomeError(f"{error}: {sorted(missing())} are missing; {self.import_errors()}") from error

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG."""
        self.client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": False}).raise_for_status()

    def trigger(self, dag_id: str, **body: Any) -> str:
        """Start a run by hand; returns its id."""
        reply = self.client.post(f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, **body})
        if reply.is_error:
            raise HomeError(f"{dag_id} cannot be triggered: {reply.text}")
        run_id: str = reply.json()["dag_run_id"]
        return run_id

    def runs(self, dag_id: str, since: datetime | None = None) -> list[dict[str, Any]]:
        """Runs of a DAG that were queued at or after ``since`` (all if None), newest first."""
        found = self.get(f"/dags/{dag_id}/dagRuns", order_by="-id", limit=100)["dag_runs"]
        return [r for r in found if since is None or datetime.fromisoformat(r["queued_at"]) >= since]

    def wait_run(self, dag_id: str, run_id: str, tick: Tick, seconds: float = 900) -> dict[str, Any]:
        """Until the run has ended; ``tick`` gets a line of progress. Raises RunFailed or TimeoutError."""
        path, tasks = f"/dags/{dag_id}/dagRuns/{run_id}", list[dict[str, Any]]()

        def tasks_in(*states: str) -> list[str]:
            return [task["task_id"] for task in tasks if task["state"] in states]

        def ended() -> dict[str, Any] | None:
            run = self.get(path)
            tasks[:] = self.get(f"{path}/taskInstances", limit=100)["task_instances"]
            busy = ", ".join(tasks_in("running", "queued", "deferred", "up_for_reschedule"))
            tick(f"{len(tasks_in('success', 'skipped'))}/{len(tasks)} tasks{f': {busy}' if busy else ''}")
            return run if run["state"] in FINISHED else None

        run = wait_until(ended, seconds, f"{dag_id} {run_id} has not ended", POLL_SECONDS)
        if run["state"] == "failed":
            failed = ", ".join(tasks_in("failed")) or "run"
            raise RunFailed(f"{dag_id}: {failed} failed; see {self.url}/dags/{dag_id}/runs/{run_id}")
        return run

    def task_state(self, run: dict[str, Any], task_id: str) -> str:
        """State of a task in a run, e.g. ``success`` or ``skipped``."""
        return str(self.get(f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}")["state"])

    def wait_next_run(
        self, dag_id: str, since: datetime, tick: Tick, seconds: float = 900, partition_key: str | None = None
    ) -> dict[str, Any]:
        """The first run (of a partition) that the scheduler started at or after ``since``, once it has ended."""
        tick("waiting for the scheduler")

        def started() -> list[dict[str, Any]]:
            return [run for run in self.runs(dag_id, since) if partition_key in (None, run["partition_key"])]

        otherwise = f"{dag_id}: no run has started since {since:%H:%M:%S}"
        runs = wait_until(started, seconds, otherwise, POLL_SECONDS)
        return self.wait_run(dag_id, runs[-1]["dag_run_id"], tick, seconds)


def now() -> datetime:
    """The present, with its zone."""
    return datetime.now(UTC)
