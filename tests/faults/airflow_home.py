"""The real Airflow of a home, for tests of faults: what lands, runs, ends and is killed there, and what people hear."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import boto3
import httpx
import psycopg2

from datalake.names import Lake
from local.commands.airflow_api import FINISHED, AirflowApi, now
from local.engines import postgres
from local.engines.waiting import wait_until
from local.settings import ENVIRONMENT, HOST, SUFFIX
from oracle.model import Verdict
from oracle.recount import verdict
from tests.faults import worlds
from tests.kill_loop.targets import Targets
from tests.support.alarm_listener import AlarmListener
from tests.support.aws_services import root_client
from tests.support.own_home import Home

LAKE = Lake(ENVIRONMENT, SUFFIX)
HOURLY, REBUILD = "enrich_streaming_films", "rebuild_streaming_films"
RUN_SECONDS = 400  # a run with its kills and tries, on a machine that does other work, too


class Airflow:
    """The Airflow of a home whose catalogue is curated. Tests use its API and kill its processes."""

    def __init__(self, home: Home, session: boto3.Session) -> None:
        self.settings, self.session = home.settings, session
        self.api = AirflowApi(f"http://{HOST}:{home.settings.airflow_port}")
        self.s3 = root_client(home.settings.emulator_url, "s3")
        self.glue = root_client(home.settings.server_url, "glue")
        self.targets = Targets(home.settings)

    def curate(self) -> None:
        """Load Sakila and wait for curated.film_category."""
        began = now()
        self.api.wait_run("load_sakila", self.api.trigger("load_sakila"), lambda _: None)
        self.api.unpause("replicate_sakila")  # its schedule is due at once
        self.api.wait_next_run("replicate_sakila", began, lambda _: None)
        self.api.wait_next_run("curate_film_category", began, lambda _: None)
        began = now()
        for dag_id in (HOURLY, REBUILD):  # their schedules start a run immediately, for which nothing has landed
            self.api.unpause(dag_id)
        wait_until(lambda: bool(self.api.runs(REBUILD, began)), 60, "no rebuild was scheduled")
        (rebuild,) = self.api.runs(REBUILD, began)
        ended = {"state": "success"}
        self.api.client.patch(f"/api/v2/dags/{REBUILD}/dagRuns/{rebuild['dag_run_id']}", json=ended).raise_for_status()
        self.api.wait_next_run(HOURLY, began, lambda _: None)

    def land(self, rng: Random, bad: int = 1) -> None:
        """When Airflow is idle, land an object of good and bad lines, and one that repeats some of them."""
        wait_until(self.is_idle, RUN_SECONDS, "Airflow did not become idle", 0.3)
        time_of_name = datetime.now(UTC)
        lines = worlds.events(rng, time_of_name, rng.randint(5, 50))
        lines += [worlds.spoiled(rng, time_of_name)[0] for _ in range(bad)]
        for some in (lines, rng.sample(lines, 3)):
            key = worlds.key(rng, time_of_name, stream=f"{LAKE.delivery_stream}-1-")
            self.s3.put_object(Bucket=LAKE.landing_bucket, Key=key, Body=worlds.body(some))

    def is_idle(self) -> bool:
        """Whether no run is queued or running that could process what lands next."""
        return all(run["state"] in FINISHED for dag_id in (HOURLY, REBUILD) for run in self.api.runs(dag_id))

    def job_at_work(self, dag_id: str, **conf: str) -> dict[str, Any]:
        """Start a run and wait until its job's task is at work; a scheduled run may be the one that finds something."""
        began = now() - timedelta(seconds=10)
        found: list[dict[str, Any]] = []
        self.api.trigger(dag_id, conf=conf)

        def is_at_work() -> bool:
            found[:] = [
                run
                for run in self.api.runs(dag_id, began)
                if run["state"] == "running" and self.api.task_state(run, "run_job") in ("running", "deferred")
            ]
            return bool(found)

        wait_until(is_at_work, 120, f"run_job of {dag_id} did not start", 0.2)
        return found[0]

    def finished_hourly_run(self, rng: Random) -> dict[str, Any]:
        """An hourly run that processed something; it may exist already."""
        for run in self.api.runs(HOURLY):
            if run["state"] == "success" and self.job_runs(run):
                return run
        self.land(rng)
        return self.ended(self.job_at_work(HOURLY))

    def kill(self, target: str, run: dict[str, Any] | None = None, rng: Random | None = None) -> None:
        """SIGKILL of scheduler, API server or triggerer; or of the run's task or its worker, if one is still there."""
        if run and rng and target == "task":
            task = self.task(run)
            victims = [victim for victim in self.targets.at_work("task") if task["id"] in victim.doing]
            if victims:
                self.targets.kill(rng.choice(victims))
        else:
            wait_until(lambda: bool(self.targets.at_work(target)), 60, f"no {target} was at work")
            self.targets.kill(self.targets.at_work(target)[0])

    def task(self, run: dict[str, Any]) -> dict[str, Any]:
        """The task instance of the run's job."""
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/run_job"
        found: list[dict[str, Any]] = []

        def asked() -> bool:
            with suppress(httpx.HTTPError):  # the API server may have been killed
                found.append(self.api.get(path))
            return bool(found)

        wait_until(asked, 60, "the API did not answer", 0.2)
        return found[0]

    def ended(self, run: dict[str, Any]) -> dict[str, Any]:
        """The run, when it has ended."""
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            with suppress(httpx.HTTPError):
                found.update(self.api.get(f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}"))
            return found.get("state") in FINISHED

        wait_until(has_ended, RUN_SECONDS, f"{run['dag_run_id']} did not end", 0.3)
        return found

    def job_runs(self, run: dict[str, Any]) -> dict[str, str]:
        """The Glue runs that a DAG run has started, with their states."""
        started = self.glue.get_job_runs(JobName=LAKE.streaming_films_job)["JobRuns"]
        name = f"{run['dag_id']}:run_job:{run['dag_run_id']}:"
        return {
            one["Id"]: one["JobRunState"]
            for one in started
            if one["Arguments"].get("--airflow_task_uuid", "").startswith(name)
        }

    def clear(self, run: dict[str, Any], task: str = "run_job") -> None:
        """Clear a run's task and what follows it."""
        options = {"include_downstream": True, "only_failed": False, "reset_dag_runs": True, "dry_run": False}
        body = {"dag_run_id": run["dag_run_id"], "task_ids": [task], **options}
        reply = self.api.client.post(f"/api/v2/dags/{run['dag_id']}/clearTaskInstances", json=body)
        reply.raise_for_status()

    def listen(self) -> AlarmListener:
        """Subscribe to the alarm topic."""
        sns, sqs = (root_client(self.settings.emulator_url, service) for service in ("sns", "sqs"))
        topics = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
        (topic,) = (arn for arn in topics if arn.endswith(f":{LAKE.alarm_topic}"))
        return AlarmListener(sns, sqs, topic)

    def states(self, run: dict[str, Any]) -> dict[str, str]:
        """The states of a run's tasks."""
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        return {task["task_id"]: task["state"] for task in self.api.get(path)["task_instances"]}

    def pause(self, dag_id: str) -> None:
        """Let the scheduler leave a DAG's runs alone."""
        self.api.client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": True}).raise_for_status()

    def pass_deadlines(self) -> None:
        """Let the time be over by which the runs in progress should have succeeded."""
        with psycopg2.connect(postgres.url(self.settings).replace("+psycopg2", "")) as db, db.cursor() as cursor:
            cursor.execute("UPDATE deadline SET deadline_time = now() WHERE NOT missed")
            assert cursor.rowcount, "no run has a deadline"

    def exact(self) -> Verdict:
        """The oracle finds nothing wrong."""
        found = verdict(self.session, LAKE.landing_bucket)
        assert found.ok, str(found)
        return found
