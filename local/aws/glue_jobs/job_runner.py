"""Runs jobs: a thread follows each run from its start, or from a restart of the server, to its end."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

from local.aws.glue_jobs import job_process, launch
from local.aws.glue_jobs.job_runs import JobRun, JobRunStore
from local.aws.glue_jobs.run_logs import LogShipper, last_error
from local.aws.protocol import AwsError, Services

log = logging.getLogger("glue_jobs")

POLL_SECONDS = 0.5  # between two checks of a running job for its end and new output
OUTPUT_TAIL = 200_000  # bytes that are searched for the last exception
WHEN_STOPPED = "The local home was stopped while this run was in progress."
SESSION_NAME = "GlueJobRunnerSession"  # as on AWS


class JobRunner:
    """All runs of one home."""

    def __init__(self, services: Services, folder: Path, minute_seconds: float) -> None:
        self._services, self._folder, self._minute_seconds = services, folder, minute_seconds
        self.store = JobRunStore(folder / "runs")
        self._lock = threading.RLock()
        self._watchers: dict[str, threading.Thread] = {}
        self._closing = False

    def start(self, run: JobRun) -> None:
        """Start a saved run."""
        self._watch(run, self._begin)

    def resume(self) -> None:
        """After a restart of the server: follow the runs whose process is alive, and conclude the others."""
        for run in self.store.unfinished():
            process = job_process.find(run.pid, run.pid_started) if run.pid else None
            if process is not None:
                log.info("%s is still running as process %s", run.id, run.pid)
                self._watch(run, self._follow, process)
            else:
                self._watch(run, self._conclude, "The local home's server was killed while this run was in progress.")

    def request_stop(self, run: JobRun) -> bool:
        """Stop a run; returns False when it has already ended."""
        with self._lock:
            if run.state not in {"STARTING", "RUNNING"}:
                return False
            run.state = "STOPPING"
            self.store.save(run)
        return True

    def stop(self) -> None:
        """End all runs and wait for their threads."""
        self._closing = True
        for watcher in list(self._watchers.values()):
            watcher.join()

    # one run, in a thread of its own

    def _watch(self, run: JobRun, act: Callable[..., None], *details: object) -> None:
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

    def _begin(self, run: JobRun) -> None:
        work = self._work(run)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            session = self._services.session(run.role, SESSION_NAME)
            command = launch.command(run, self._services.settings, session, work)
        except (AwsError, launch.CannotStart) as error:
            return self._finish(run, "FAILED", error.message if isinstance(error, AwsError) else str(error))
        credentials = self._services.credentials_environment(run.role)
        environment = launch.environment(run, self._services.settings, credentials, work)
        with self._lock:
            if run.state == "STOPPING" or self._closing:
                return self._conclude(run, "")
            process = job_process.start(command, environment, work)
            run.pid, run.pid_started, run.state = process.pid, process.create_time(), "RUNNING"
            self.store.save(run)
        return self._follow(run, process)

    def _follow(self, run: JobRun, process: psutil.Process) -> None:
        shipper = self._shipper(run)
        deadline = run.started + run.timeout * self._minute_seconds
        timed_out = False
        while not job_process.wait(process, POLL_SECONDS):
            if shipper.ship():
                self.store.save(run)
            timed_out = time.time() > deadline
            if timed_out or self._closing or run.state == "STOPPING":
                break
        job_process.end(process.pid)
        if timed_out:
            shipper.ship(final=True)
            return self._finish(run, "TIMEOUT", f"Job run exceeded its timeout of {run.timeout} minutes")
        return self._conclude(run, WHEN_STOPPED if self._closing else "")

    def _conclude(self, run: JobRun, when_killed: str) -> None:
        """Store how a run ended: its processes are gone, or are ended here."""
        if run.pid:
            job_process.end(run.pid)
        self._shipper(run).ship(final=True)
        code = job_process.exit_code(self._work(run))
        if run.state == "STOPPING":
            return self._finish(run, "STOPPED", "")
        if code == 0:
            return self._finish(run, "SUCCEEDED", "")
        if code is None or (self._closing and when_killed):
            return self._finish(run, "FAILED", when_killed or "The run's process was killed.")
        # spark-submit writes the stderr of the script's Python to its own stdout
        printed = (self._work(run) / "stdout").read_bytes()[-OUTPUT_TAIL:].decode("utf-8", "replace")
        return self._finish(run, "FAILED", last_error(printed) or f"Command failed with exit code {code}")

    def _finish(self, run: JobRun, state: str, error: str) -> None:
        with self._lock:
            run.state, run.error, run.completed = state, error, time.time()
            self.store.save(run)
        shutil.rmtree(self._work(run), ignore_errors=True)
        log.info("%s of %s: %s %s", run.id, run.job_name, state, error)

    def _work(self, run: JobRun) -> Path:
        return self._folder / "work" / run.id

    def _shipper(self, run: JobRun) -> LogShipper:
        combined = self._services.settings.logs / "glue" / f"{run.id}.log"
        session = partial(self._services.session, run.role, SESSION_NAME)
        return LogShipper(run, self._work(run), combined, lambda: session().client("logs"))
