"""Waits after the last kill until every acknowledged event has landed and every landed object is done."""

from __future__ import annotations

from collections.abc import Callable

from local.engines.waiting import wait_until
from local.supervision import control as homes
from tests.kill_loop.workload import Dags, Workload
from tests.support.own_home import Home

BUFFERED_SECONDS = 240  # Firehose's interval, and its retries after the last kill
RUN_SECONDS = 1200  # Airflow finds by its heartbeats that a run was killed, and runs its job again
RUNS = 4  # at most, until one succeeds: a killed run may have used up its retries
DAGS = ("enrich_streaming_films", "rebuild_streaming_films", "replicate_sakila", "curate_film_category")


class Unsettled(Exception):
    """The home's work does not come to an end."""


def settle(home: Home, workload: Workload, say: Callable[[str], None]) -> None:
    """Wait until Firehose's buffers are empty, nothing is left to enrich and Sakila is replicated; raises Unsettled."""
    homes.wait(home.settings, lambda _: None)  # every service is back
    buffers = home.settings.data / "firehose"
    wait_until(lambda: not list(buffers.glob("*.buffer/*.segment")), BUFFERED_SECONDS, "Firehose did not deliver", 0.5)
    say("everything acknowledged has landed")
    dags = Dags(home)
    for dag_id in DAGS:
        wait_until(lambda dag=dag_id: not dags.is_busy(dag), RUN_SECONDS, f"the runs of {dag_id} did not end", 1.0)  # type: ignore[misc]
    say("no run is under way")
    _until_success(dags, "replicate_sakila")
    for _ in range(RUNS):
        _until_success(dags, "enrich_streaming_films")
        if dags.task_state("enrich_streaming_films", "run_job") == "skipped":
            say("nothing is left to enrich")
            return
    raise Unsettled(f"{RUNS} runs of enrich_streaming_films each found something new, and nothing streams any more")


def _until_success(dags: Dags, dag_id: str) -> None:
    states: list[str] = []
    while len(states) < RUNS:
        states.append(dags.run(dag_id, RUN_SECONDS))
        if states[-1] == "success":
            return
    raise Unsettled(f"{dag_id} ended {', '.join(states)}, and nothing is killed any more")
