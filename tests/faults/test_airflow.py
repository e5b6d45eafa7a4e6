"""Airflow's processes are killed while it waits for a Glue job; tasks give up, runs are late, and people are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random

import boto3
import pytest

from glue.streaming_films import MIN_BAD_LINES
from local.commands.airflow_api import now
from local.engines.waiting import wait_until
from tests.faults.airflow_home import HOURLY, REBUILD, Airflow
from tests.faults.catalogue import Fault, fault
from tests.support.own_home import own_home

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def airflow() -> Iterator[Airflow]:
    with own_home("up") as home, pytest.MonkeyPatch.context() as patch:
        for name, value in home.client_environment().items():
            patch.setenv(name, value)
        running = Airflow(home, boto3.Session())
        running.curate()
        yield running


@fault(Fault.WORKER_KILLED, kills_spark=True)
def test_killed_task_scheduler_api_server_and_triggerer_find_the_job_that_runs_and_start_no_other(
    airflow: Airflow, seed: int
) -> None:
    """The task has a process only until it is deferred, and again when its job has ended: it is killed at once."""
    rng = Random(seed)
    airflow.land(rng)
    run = airflow.job_at_work(HOURLY)
    airflow.kill("task", run, rng)
    for target in rng.sample(("scheduler", "api-server", "triggerer"), 3):
        time.sleep(rng.uniform(0, 3))
        airflow.kill(target, run, rng)
    ended = airflow.ended(run)
    assert ended["state"] == "success"
    assert list(airflow.job_runs(run).values()) == ["SUCCEEDED"]
    assert ended["note"].startswith("landed ")
    airflow.exact()


@fault(Fault.WORKER_KILLED, kills_spark=True)
def test_a_rebuild_whose_triggerer_is_killed_runs_once_and_no_hourly_run_undoes_it(airflow: Airflow, seed: int) -> None:
    """The hourly run is one that had ended and is cleared: it takes nothing again."""
    rng = Random(f"rebuild {seed}")
    hourly = airflow.finished_hourly_run(rng)
    airflow.land(rng)
    rebuild = airflow.job_at_work(REBUILD, month=f"{now():%Y-%m}")
    wait_until(lambda: airflow.task(rebuild)["state"] == "deferred", 60, "run_job was not deferred")
    time.sleep(rng.uniform(0, 3))
    airflow.kill("triggerer")
    assert airflow.ended(rebuild)["state"] == "success"
    assert list(airflow.job_runs(rebuild).values()) == ["SUCCEEDED"]
    rebuilt = airflow.exact().hash
    before = airflow.job_runs(hourly)
    airflow.clear(hourly)
    assert airflow.ended(hourly)["state"] == "success"
    assert airflow.job_runs(hourly) == before
    assert airflow.exact().hash == rebuilt


@fault(Fault.TASK_GIVES_UP, kills_spark=True)
def test_a_task_that_gives_up_is_told_of_once_also_if_it_cannot_tell_itself(airflow: Airflow, seed: int) -> None:
    listener = airflow.listen()
    failed = {"dag_id": REBUILD, "dag_run_id": airflow.api.trigger(REBUILD)}  # without a month
    assert airflow.ended(failed)["state"] == "failed"
    assert sorted(airflow.states(failed).values()) == ["failed", *["upstream_failed"] * 4]
    airflow.pause(HOURLY)
    lost = {"dag_id": HOURLY, "dag_run_id": airflow.api.trigger(HOURLY)}
    path = f"/api/v2/dags/{HOURLY}/dagRuns/{lost['dag_run_id']}/taskInstances/find_new_objects"
    airflow.api.client.patch(path, json={"new_state": "failed"}).raise_for_status()  # as when its process is killed
    airflow.api.unpause(HOURLY)
    assert airflow.ended(lost)["state"] == "failed"
    told, lost_task = (notice["Message"] for notice in listener.hear(2))
    for text in (f"Run: {failed['dag_run_id']}\nTask: choose_month, try 1\nReason: Which month?", "docs/operations.md"):
        assert text in told
    assert f"Run: {lost['dag_run_id']}\nTask: find_new_objects, try " in lost_task
    assert "Reason: the task ended without a word" in lost_task


@fault(Fault.TOO_MANY_BAD_LINES, kills_spark=True)
def test_too_many_bad_lines_are_committed_reported_and_told_and_judged_again_when_cleared(
    airflow: Airflow, seed: int
) -> None:
    rng, listener, began = Random(f"bad {seed}"), airflow.listen(), now()
    airflow.land(rng, bad=MIN_BAD_LINES)
    run = airflow.job_at_work(HOURLY)
    ended = airflow.ended(run)
    assert ended["state"] == "failed"
    assert "Too many bad lines: " in ended["note"]
    assert [task for task, state in airflow.states(run).items() if state != "success"] == ["judge_lines"]
    month = f"{began:%Y-%m}"
    airflow.api.wait_next_run("report_film_popularity", began, lambda _: None, partition_key=month)
    assert "Task: judge_lines, try 1\nReason: Too many bad lines: " in listener.hear(1)[0]["Message"]
    before, cleared = airflow.job_runs(run), rng.choice(("find_new_objects", "run_job", "count_lines", "judge_lines"))
    airflow.clear(run, cleared)
    assert airflow.ended(run)["state"] == "failed"
    assert [task for task, state in airflow.states(run).items() if state != "success"] == ["judge_lines"]
    assert airflow.job_runs(run) == before
    assert len(listener.hear(2)) == 2
    airflow.exact()


@fault(Fault.LATE_RUN, kills_spark=True)
def test_a_run_that_has_not_succeeded_by_its_deadline_is_told_of(airflow: Airflow, seed: int) -> None:
    listener = airflow.listen()
    airflow.pause(HOURLY)
    late = {"dag_id": HOURLY, "dag_run_id": airflow.api.trigger(HOURLY)}  # it waits, as the DAG is paused
    airflow.pass_deadlines()
    assert f"DAG: {HOURLY}\nRun: {late['dag_run_id']}\nReason: it is still queued" in listener.hear(1)[0]["Message"]
    airflow.api.unpause(HOURLY)
    assert airflow.ended(late)["state"] == "success"
