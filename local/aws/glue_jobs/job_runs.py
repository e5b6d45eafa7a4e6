"""The state of each job run, in a file of its own, so that it survives a kill of the server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local.aws.protocol import Payload
from local.engines.files import write_atomically

UNFINISHED = ("STARTING", "RUNNING", "STOPPING")


@dataclass
class JobRun:
    """One run of a job. Times are epoch seconds, ``timeout`` is in minutes.

    ``pid`` and ``pid_started`` identify the run's process; ``shipped`` holds how many bytes of each output are logged.
    """

    id: str
    job_name: str
    role: str
    script: str
    arguments: dict[str, str]
    timeout: int
    started: float
    details: Payload = field(default_factory=dict)
    state: str = "STARTING"
    modified: float = 0.0
    completed: float | None = None
    error: str = ""
    pid: int | None = None
    pid_started: float = 0.0
    shipped: dict[str, int] = field(default_factory=dict)

    @property
    def is_unfinished(self) -> bool:
        """Whether the run counts against MaxConcurrentRuns."""
        return self.state in UNFINISHED

    def description(self) -> Payload:
        """The run as GetJobRun returns it."""
        described: Payload = {
            **self.details,
            "Id": self.id,
            "Attempt": 0,
            "JobName": self.job_name,
            "StartedOn": self.started,
            "LastModifiedOn": self.modified,
            "JobRunState": self.state,
            "Arguments": self.arguments,
            "PredecessorRuns": [],
            "ExecutionTime": round((self.completed or time.time()) - self.started),
            "Timeout": self.timeout,
            "LogGroupName": "/aws-glue/jobs",
        }
        if self.completed is not None:
            described["CompletedOn"] = self.completed
        if self.error:
            described["ErrorMessage"] = self.error
        return described


class JobRunStore:
    """All runs of one home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: dict[str, JobRun] = {}
        for path in folder.glob("*.json"):
            run = JobRun(**json.loads(path.read_text()))
            self._runs[run.id] = run

    def save(self, run: JobRun) -> None:
        """Store a run as it is now; it is on disk when this returns."""
        run.modified = time.time()
        self._runs[run.id] = run
        write_atomically(self._folder / f"{run.id}.json", json.dumps(asdict(run)))

    def get(self, job_name: str, run_id: str) -> JobRun | None:
        """The run of this job with this id, or None."""
        run = self._runs.get(run_id)
        return run if run is not None and run.job_name == job_name else None

    def of_job(self, job_name: str) -> list[JobRun]:
        """The runs of a job, the newest first."""
        return sorted((r for r in self._runs.values() if r.job_name == job_name), key=lambda r: -r.started)

    def unfinished(self) -> Iterator[JobRun]:
        """The runs that have not ended."""
        return (run for run in list(self._runs.values()) if run.is_unfinished)
