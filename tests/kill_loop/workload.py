"""What the home has to do while it is being killed: events stream, DAGs are triggered again as soon as they have ended,
Sakila changes between its loads. A call is repeated until it is answered, because Airflow and MySQL are killed, too."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pymysql

from local.commands.airflow_api import FINISHED, AirflowApi
from local.engines.files import write_atomically
from local.engines.waiting import wait_until
from local.settings import HOST, ROOT
from local.supervision.control import HomeError
from tests.kill_loop import versions
from tests.support.own_home import Home

RATE = 100  # events a second
FAULTS = ("--duplicate", "0.02", "--malformed", "0.01", "--unknown-film", "0.01")
REBUILD_PAUSE = 240.0  # seconds between two rebuilds of the present month
STOPPED = "stopped"
PAUSE = 1.0  # seconds between the end of a run and the next trigger
LONGEST_STREAM = 6 * 3600

Result = TypeVar("Result")


def answered(call: Callable[[], Result], seconds: float = 300) -> Result:
    """The call's result, once Airflow or MySQL answers."""
    refusals = (httpx.HTTPError, HomeError, OSError, pymysql.MySQLError)
    (result,) = wait_until(lambda: (call(),), seconds, "neither Airflow nor MySQL answered", 0.5, ignoring=refusals)
    return result


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
        """Trigger a run when none is under way, and wait for its end; its state, or STOPPED when no longer ``going``.

        Raises TimeoutError when it has not ended after ``seconds``.
        """
        run_id = ""

        def ended() -> str | None:
            nonlocal run_id
            if not going():
                return STOPPED
            if not run_id and not self.is_busy(dag_id):
                # A trigger whose answer was lost may still have made a run, so is_busy comes before the next trigger.
                with suppress(httpx.HTTPError, HomeError):
                    run_id = self.api.trigger(dag_id, **body)
            if not run_id:
                return None
            state = str(answered(lambda: self.api.get(f"/dags/{dag_id}/dagRuns/{run_id}"))["state"])
            return state if state in FINISHED else None

        return str(wait_until(ended, seconds, f"no run of {dag_id} ended", PAUSE))

    def task_state(self, dag_id: str, task_id: str) -> str:
        """State of a task in the DAG's newest run."""
        run = answered(lambda: self.api.runs(dag_id))[0]
        return answered(lambda: self.api.task_state(run, task_id))


class Workload:
    """The whole workload of a home. In ``folder`` the reader finds Sakila's newest version."""

    def __init__(self, home: Home, folder: Path) -> None:
        self._home, self._folder = home, folder
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stream: subprocess.Popen[bytes] | None = None
        self._version = 0
        self.exported: dict[str, str] = {}
        self.failed: list[BaseException] = []

    def prepare(self, note: Callable[[str], None]) -> None:
        """Load Sakila, replicate its first version, curate it, and unpause the DAGs of the events."""
        dags = Dags(self._home)
        self.exported = self._home.client_environment()
        names = ("load_sakila", "replicate_sakila", "curate_film_category")
        events = ("enrich_streaming_films", "rebuild_streaming_films")
        dags.api.wait_for_dags({*names, *events})
        for dag in dags.api.get("/dags", limit=100)["dags"]:  # only the workload's DAGs may run
            dags.api.client.patch(f"/api/v2/dags/{dag['dag_id']}", json={"is_paused": True}).raise_for_status()
        started = datetime.now(UTC)
        for name in ("load_sakila", "curate_film_category"):
            dags.api.unpause(name)
        dags.api.wait_run("load_sakila", dags.api.trigger("load_sakila"), lambda _: None)
        note("Sakila is loaded")
        dags.api.unpause("replicate_sakila")  # its schedule is due at once
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
        """Start everything at once, in the background."""
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
        """Raise the error that has ended a part of the workload, if any."""
        if self.failed:
            raise self.failed[0]
        if self._stream and self._stream.poll() is not None:
            raise RuntimeError(f"the generator ended with {self._stream.returncode}, see {self._home.settings.logs}")

    def stop(self) -> None:
        """Stop the stream, and start no more runs."""
        self._stopped.set()
        if self._stream and self._stream.poll() is None:
            self._stream.terminate()  # the generator first settles what it has sent
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
            while not self._stopped.is_set():
                if not dags.is_busy(dag_id):
                    before()
                dags.run(dag_id, 1800, lambda: not self._stopped.is_set(), **body)
                self._stopped.wait(pause)
        except BaseException as error:  # noqa: BLE001 - check() raises it in the loop
            self.failed.append(error)

    def _next_version(self) -> None:
        """Change Sakila. The reader is told first, so that it never sees a version that it does not know."""
        self._version += 1
        rows = answered(lambda: versions.row_counts(self.exported))
        write_atomically(self._folder / "sakila.json", json.dumps({"newest": self._version, "rows": rows}))
        answered(lambda: versions.write_version(self.exported, self._version))
