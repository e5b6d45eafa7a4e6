"""Runs jobs: a thread watches each run from its start, or from a restart of the server, to its end."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from local.aws.glue_jobs import launch, processes
from local.aws.glue_jobs.logs import Shipper, last_error
from local.aws.glue_jobs.runs import Run, RunStore
from local.aws.protocol import AwsError, Services

log = logging.getLogger("glue_jobs")

LOOK_SECONDS = 0.5  # between two looks at a running job: how soon its end and its output are seen
OUTPUT_TAIL = 200_000  # bytes in which the last exception is looked for
SESSION_NAME = "GlueJobRunnerSession"  # as on AWS


class Runner:
    """All runs of one home. ``minute`` is the length of a timeout's minute in seconds."""

    def __init__(self, services: Services, folder: Path, minute: float) -> None:
        self._services, self._folder, self._minute = services, folder, minute
        self.store = RunStore(folder / "runs")
        self._lock = threading.RLock()
        self._watchers: dict[str, threading.Thread] = {}
        self._closing = False

    def start(self, run: Run) -> None:
        """Start a saved run."""
        self._watch(run, self._begin)

    def resume(self) -> None:
        """After a restart of the server: watch on what still runs, and say what became of the rest."""
        for run in self.store.unfinished():
            process = processes.find(run.pid, run.pid_started) if run.pid else None
            if process is not None:
                log.info("%s still runs as process %s", run.id, run.pid)
                self._watch(run, self._follow, process)
            else:
                self._watch(run, self._conclude, "The local home's server was killed while this run was under way.")

    def request_stop(self, run: Run) -> bool:
        """Stop a run; False when it has ended already."""
        with self._lock:
            if run.state not in {"STARTING", "RUNNING"}:
                return False
            run.state = "STOPPING"
            self.store.save(run)
        return True

    def stop(self) -> None:
        """End all runs and wait for it."""
        self._closing = True
        for watcher in list(self._watchers.values()):
            watcher.join()

    # one run, in its thread

    def _watch(self, run: Run, act: Callable[..., None], *details: object) -> None:
        def guarded() -> None:
            try:
                act(run, *details)
            except Exception as error:
                log.exception("%s", run.id)
                self._finish(run, "FAILED", f"The local home failed: {error}")
            finally:
                self._watchers.pop(run.id, None)

        watcher = threading.Thread(target=guarded, name=run.id[:11], daemon=True)
        self._watchers[run.id] = watcher
        watcher.start()

    def _begin(self, run: Run) -> None:
        work = self._work(run)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            session = self._services.session(run.role, SESSION_NAME)
            command = launch.prepare(run, self._services.settings, session, work)
        except AwsError as error:
            return self._finish(run, "FAILED", error.message)
        except launch.Unstartable as error:
            return self._finish(run, "FAILED", str(error))
        credentials = self._services.credentials_environment(run.role)
        with self._lock:
            if run.state == "STOPPING" or self._closing:
                return self._conclude(run, "")
            process = processes.start(
                command, launch.environment(run, self._services.settings, credentials, work), work
            )
            run.pid, run.pid_started, run.state = process.pid, process.create_time(), "RUNNING"
            self.store.save(run)
        return self._follow(run, process)

    def _follow(self, run: Run, process: psutil.Process) -> None:
        shipper = self._shipper(run)
        deadline = run.started + run.timeout * self._minute
        timed_out = False
        while not processes.wait(process, LOOK_SECONDS):
            if shipper.ship():
                self.store.save(run)
            timed_out = time.time() > deadline
            if timed_out or self._closing or run.state == "STOPPING":
                break
        processes.end(process.pid)
        if timed_out:
            shipper.ship(final=True)
            return self._finish(run, "TIMEOUT", f"Job run exceeded its timeout of {run.timeout} minutes")
        return self._conclude(run, "The local home was stopped while this run was under way." if self._closing else "")

    def _conclude(self, run: Run, when_killed: str) -> None:
        """Say how a run ended whose processes are gone."""
        if run.pid:
            processes.end(run.pid)
        self._shipper(run).ship(final=True)
        code = processes.exit_code(self._work(run))
        if run.state == "STOPPING":
            return self._finish(run, "STOPPED", "")
        if code == 0:
            return self._finish(run, "SUCCEEDED", "")
        if code is None or (self._closing and when_killed):
            return self._finish(run, "FAILED", when_killed or "The run's process was killed.")
        # spark-submit prints what the script's Python writes to stderr on its own stdout
        printed = (self._work(run) / "stdout").read_bytes()[-OUTPUT_TAIL:].decode("utf-8", "replace")
        return self._finish(run, "FAILED", last_error(printed) or f"Command failed with exit code {code}")

    def _finish(self, run: Run, state: str, error: str) -> None:
        with self._lock:
            run.state, run.error, run.completed = state, error, time.time()
            self.store.save(run)
        shutil.rmtree(self._work(run), ignore_errors=True)
        log.info("%s of %s: %s %s", run.id, run.job_name, state, error)

    def _work(self, run: Run) -> Path:
        return self._folder / "work" / run.id

    def _shipper(self, run: Run) -> Shipper:
        combined = self._services.settings.logs / "glue" / f"{run.id}.log"
        return Shipper(
            run, self._work(run), combined, lambda: self._services.session(run.role, SESSION_NAME).client("logs")
        )
