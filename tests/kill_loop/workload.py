"""What the home has to do while it is being killed: events stream, DAGs are triggered again as soon as they have ended,
Sakila changes between its loads. Every call is repeated until it is answered: whoever answers is killed, too."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pymysql

from local.commands.airflow_api import FINISHED, AirflowApi
from local.settings import HOST, ROOT
from local.supervision.control import HomeError
from tests.kill_loop import versions
from tests.support.own_home import Home

RATE = 100  # events a second
FAULTS = ("--duplicate", "0.02", "--malformed", "0.01", "--unknown-film", "0.01")
REBUILD_PAUSE = 240.0  # seconds between two rebuilds of the present month
PAUSE = 1.0  # seconds between the end of a run and the next trigger
LONGEST_STREAM = 6 * 3600

Result = TypeVar("Result")


def answered(call: Callable[[], Result], seconds: float = 300) -> Result:
    """The call's result, once Airflow or MySQL answers; raises the last error after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (httpx.HTTPError, HomeError, OSError, pymysql.MySQLError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def month() -> str:
    """The present month, yyyy-MM."""
    return f"{datetime.now(UTC):%Y-%m}"


class Dags:
    """Airflow's runs of one home, by its API."""

    def __init__(self, home: Home) -> None:
        self.api: AirflowApi = answered(lambda: AirflowApi(f"http://{HOST}:{home.settings.airflow_port}"))

    def is_busy(self, dag_id: str) -> bool:
        """Whether a run has not ended."""
        return any(run["state"] not in FINISHED for run in answered(lambda: self.api.runs(dag_id)))

    def run(self, dag_id: str, seconds: float, going: Callable[[], bool] = lambda: True, **body: Any) -> str:
        """Trigger a run when none is under way, and wait for its end; its state, or ``""`` if no longer ``going``.

        Raises TimeoutError when it has not ended after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        run_id = ""
        while going():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{dag_id} {run_id} has not ended after {seconds:.0f} s")
            if not run_id and not self.is_busy(dag_id):
                # A trigger whose answer was lost may have made a run all the same: it is looked for before the next.
                try:
                    run_id = self.api.trigger(dag_id, **body)
                except (httpx.HTTPError, HomeError):
                    time.sleep(PAUSE)
                    continue
            if run_id:
                path = f"/dags/{dag_id}/dagRuns/{run_id}"
                state = str(answered(lambda path=path: self.api.get(path))["state"])  # type: ignore[misc]
                if state in FINISHED:
                    return state
            time.sleep(PAUSE)
        return ""

    def task_state(self, dag_id: str, task_id: str) -> str:
        """State of a task in the DAG's newest run."""
        run = answered(lambda: self.api.runs(dag_id))[0]
        return answered(lambda: self.api.task_state(run, task_id))


class Workload:
    """All of it. ``folder``: where the reader learns of Sakila's versions."""

    def __init__(self, home: Home, folder: Path) -> None:
        self._home, self._folder = home, folder
        self._going = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stream: subprocess.Popen[bytes] | None = None
        self._version = 0
        self.exported: dict[str, str] = {}
        self.failed: list[BaseException] = []

    def prepare(self, note: Callable[[str], None]) -> None:
        """Sakila loaded, replicated in its first version, curated; the DAGs unpaused."""
        dags = Dags(self._home)
        self.exported = self._home.client_environment()
        names = ("load_sakila", "replicate_sakila", "curate_film_category")
        events = ("enrich_streaming_films", "rebuild_streaming_films")
        dags.api.wait_for_dags({*names, *events})
        for dag in dags.api.get("/dags", limit=100)[
            "dags"
        ]:  # what is not part of the workload shall not begin by itself
            dags.api.client.patch(f"/api/v2/dags/{dag['dag_id']}", json={"is_paused": True}).raise_for_status()
        started = datetime.now(UTC)
        for name in names:
            dags.api.unpause(name)
        dags.api.wait_run("load_sakila", dags.api.trigger("load_sakila"), lambda _: None)
        note("Sakila is loaded")
        dags.api.wait_next_run("replicate_sakila", started, lambda _: None)
        self._next_version()
        if (state := dags.run("replicate_sakila", 300)) != "success":
            raise RuntimeError(f"replicate_sakila ended {state} before anything was killed")
        note("Sakila is replicated")
        dags.api.wait_next_run("curate_film_category", started, lambda _: None)
        note("film_category is there")
        for name in events:
            dags.api.unpause(name)

    def begin(self, seed: int) -> None:
        """Everything at once, in the background."""
        self._going.set()
        command = [sys.executable, "-m", "local", "stream", "--rate", str(RATE), "--seconds", str(LONGEST_STREAM)]
        with (self._home.settings.logs / "stream.log").open("ab") as log:
            self._stream = subprocess.Popen(
                [*command, "--seed", str(seed), *FAULTS], cwd=ROOT, env=self._home.variables, stdout=log, stderr=log
            )
        rebuild = {"conf": {"month": month()}}
        for dag_id, pause, before, body in (
            ("enrich_streaming_films", PAUSE, lambda: None, {}),
            ("replicate_sakila", PAUSE, self._next_version, {}),
            ("rebuild_streaming_films", REBUILD_PAUSE, lambda: None, rebuild),
        ):
            thread = threading.Thread(target=self._again_and_again, args=(dag_id, pause, before, body), daemon=True)
            thread.start()
            self._threads.append(thread)

    def check(self) -> None:
        """Raises what has ended a part of the workload."""
        if self.failed:
            raise self.failed[0]
        if self._stream and self._stream.poll() is not None:
            raise RuntimeError(f"the generator ended with {self._stream.returncode}, see {self._home.settings.logs}")

    def stop(self) -> None:
        """No new event and no new run."""
        self._going.clear()
        if self._stream and self._stream.poll() is None:
            self._stream.terminate()  # as by Ctrl-C: what is under way is settled
            self._stream.wait(60)
        for thread in self._threads:
            thread.join(60)

    def acknowledged(self) -> list[str]:
        """The generator's ledger: event ids that Firehose has acknowledged."""
        path = self._home.settings.home / "ledgers" / "live.ids"
        return path.read_text().split() if path.exists() else []

    def _again_and_again(self, dag_id: str, pause: float, before: Callable[[], None], body: dict[str, Any]) -> None:
        try:
            dags = Dags(self._home)
            while self._going.is_set():
                if not dags.is_busy(dag_id):
                    before()
                dags.run(dag_id, 1800, self._going.is_set, **body)
                until = time.monotonic() + pause
                while self._going.is_set() and time.monotonic() < until:
                    time.sleep(0.2)
        except BaseException as error:  # noqa: BLE001  told to the loop, which ends
            self.failed.append(error)

    def _next_version(self) -> None:
        """Change Sakila; the reader is told first, so that it never meets a version it does not know."""
        self._version += 1
        rows = answered(lambda: versions.row_counts(self.exported))
        new = self._folder / "sakila.json.new"
        new.write_text(json.dumps({"newest": self._version, "rows": rows}))
        new.replace(self._folder / "sakila.json")
        answered(lambda: versions.write_version(self.exported, self._version))
