"""The actions on Glue jobs. The emulator stores the definitions, apart from the fields that it drops.

Refused: Python shell, streaming and Ray jobs, bookmarks, queued runs, automatic retries, Spark's own catalog in Glue,
extra jars. The type and number of workers are stored but have no effect: a run uses this machine. Everything that the
script's Python prints is in the log group /aws-glue/jobs/output (on AWS its stderr is in /aws-glue/jobs/error).
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from pathlib import Path

from local.aws.glue_jobs import arguments as args
from local.aws.glue_jobs.job_runner import JobRunner
from local.aws.glue_jobs.job_runs import JobRun
from local.aws.glue_service import GlueService, one_page, role_arn
from local.aws.protocol import AwsError, Handler, Payload, Request, Services
from local.aws.settings import ACCOUNT, REGION
from local.engines.files import write_atomically

DEFAULT_TIMEOUT = 480  # minutes, Glue 5.0 and later
PAGE_SIZE = 200  # of GetJobRuns

# The fields of a definition that the emulator stores, with the value that AWS gives a field that an update leaves out
KEPT_BY_EMULATOR: Payload = {
    "Description": "",
    "Role": "",
    "Command": {},
    "DefaultArguments": {},
    "NonOverridableArguments": {},
    "Connections": {},
    "MaxRetries": 0,
    "Timeout": DEFAULT_TIMEOUT,
    "GlueVersion": "5.1",
    "NumberOfWorkers": None,
    "WorkerType": None,
    "MaxCapacity": None,
    "SecurityConfiguration": "",
}
BOOKMARKS = ("GetJobBookmark", "ResetJobBookmark")


class GlueJobs(GlueService):
    """The actions of the service ``glue`` on jobs and their runs.

    ``minute_seconds`` is the length of a minute of a run's timeout; tests make it shorter.
    """

    def __init__(self, services: Services, minute_seconds: float = 60.0) -> None:
        super().__init__(services)
        self._folder: Path = services.settings.data / "glue_jobs"
        self._lock = threading.RLock()
        self._extras_path = self._folder / "definitions.json"
        stored = self._extras_path.read_text() if self._extras_path.exists() else "{}"
        self._extras: dict[str, Payload] = json.loads(stored)
        self._runner = JobRunner(services, self._folder, minute_seconds)
        self.actions: dict[str, Handler] = {
            "CreateJob": self._create_job,
            "UpdateJob": self._update_job,
            "DeleteJob": self._delete_job,
            "GetJob": self._get_job,
            "GetJobs": self._get_jobs,
            "BatchGetJobs": self._batch_get_jobs,
            "ListJobs": self._list_jobs,
            "StartJobRun": self._start_job_run,
            "GetJobRun": self._get_job_run,
            "GetJobRuns": self._get_job_runs,
            "BatchStopJobRun": self._batch_stop_job_run,
            **dict.fromkeys(BOOKMARKS, self._no_bookmarks),
        }

    def start(self) -> None:
        """Resume following the runs that were in progress."""
        self._runner.resume()

    def stop(self) -> None:
        """End the runs in progress, so that no process outlives the home."""
        self._runner.stop()

    # definitions

    def _create_job(self, request: Request) -> Payload:
        given = request.payload
        self._authorize(request, f"job/{given['Name']}")
        self._authorize_role(request, given["Role"])
        _refuse_unsupported(given)
        reply = self._call("CreateJob", {"Timeout": DEFAULT_TIMEOUT, "GlueVersion": "5.1", **given})
        self._keep_extras(given["Name"], given)
        return reply

    def _update_job(self, request: Request) -> Payload:
        name, given = request.payload["JobName"], request.payload["JobUpdate"]
        self._authorize(request, f"job/{name}")
        if "Role" in given:
            self._authorize_role(request, given["Role"])
        _refuse_unsupported(given)
        self._call("UpdateJob", {"JobName": name, "JobUpdate": KEPT_BY_EMULATOR | given})
        self._keep_extras(name, given)
        return {"JobName": name}

    def _delete_job(self, request: Request) -> Payload:
        self._authorize(request, f"job/{request.payload['JobName']}")
        self._keep_extras(request.payload["JobName"], {})
        return self._call("DeleteJob", request.payload)

    def _get_job(self, request: Request) -> Payload:
        self._authorize(request, f"job/{request.payload['JobName']}")
        return {"Job": self._job(request.payload["JobName"])}

    def _get_jobs(self, request: Request) -> Payload:
        self._authorize(request, "job/*")
        return {"Jobs": [self._completed(job) for job in self._call("GetJobs", {})["Jobs"]]}

    def _batch_get_jobs(self, request: Request) -> Payload:
        wanted = request.payload["JobNames"]
        for name in wanted:
            self._authorize(request, f"job/{name}")
        jobs = {job["Name"]: self._completed(job) for job in self._call("GetJobs", {})["Jobs"]}
        return {
            "Jobs": [jobs[name] for name in wanted if name in jobs],
            "JobsNotFound": [name for name in wanted if name not in jobs],
        }

    def _list_jobs(self, request: Request) -> Payload:
        self._authorize(request, "job/*")
        return {"JobNames": sorted(job["Name"] for job in self._call("GetJobs", {})["Jobs"])}

    def _job(self, name: str) -> Payload:
        return self._completed(self._call("GetJob", {"JobName": name})["Job"])

    def _completed(self, job: Payload) -> Payload:
        """A definition with the fields that the emulator drops and without tags, which AWS returns by GetTags only.

        MaxConcurrentRuns is 1 by default.
        """
        extras = self._extras.get(job["Name"], {})
        known = {name: value for name, value in job.items() if value is not None and name != "Tags"}
        return {"ExecutionProperty": {"MaxConcurrentRuns": 1}, **known, **extras}

    def _keep_extras(self, name: str, given: Payload) -> None:
        dropped = {key: value for key, value in given.items() if key not in {*KEPT_BY_EMULATOR, "Name", "Tags"}}
        with self._lock:
            self._extras.pop(name, None)
            if dropped:
                self._extras[name] = dropped
            write_atomically(self._extras_path, json.dumps(self._extras))

    # runs

    def _start_job_run(self, request: Request) -> Payload:
        given = request.payload
        self._authorize(request, f"job/{given['JobName']}")
        if "JobRunId" in given:
            raise AwsError("InvalidInputException", "The local home does not repeat a run by JobRunId; start a new one")
        job = self._job(given["JobName"])
        _refuse_unsupported(job)
        run_id = f"jr_{secrets.token_hex(32)}"
        arguments = {
            "--JOB_ID": f"j_{secrets.token_hex(32)}",
            "--JOB_RUN_ID": run_id,
            "--JOB_NAME": job["Name"],
            "--TempDir": f"s3://aws-glue-assets-{ACCOUNT}-{REGION}/temporary/",
            **args.merge(job, given.get("Arguments", {})),
        }
        args.refuse_unsupported(arguments)
        details = {key: given.get(key, job.get(key)) for key in ("WorkerType", "NumberOfWorkers", "MaxCapacity")}
        details["GlueVersion"] = job.get("GlueVersion")
        run = JobRun(
            id=run_id,
            job_name=job["Name"],
            role=role_arn(job["Role"]),
            script=job["Command"]["ScriptLocation"],
            arguments=arguments,
            timeout=int(given.get("Timeout") or job.get("Timeout") or DEFAULT_TIMEOUT),
            started=time.time(),
            details={key: value for key, value in details.items() if value is not None},
        )
        limit = job["ExecutionProperty"].get("MaxConcurrentRuns", 1)
        with self._lock:
            running = [other for other in self._runner.store.of_job(run.job_name) if other.is_unfinished]
            if len(running) >= limit:
                raise AwsError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {run.job_name}")
            self._runner.store.save(run)
        self._runner.start(run)
        return {"JobRunId": run_id}

    def _get_job_run(self, request: Request) -> Payload:
        name, run_id = request.payload["JobName"], request.payload["RunId"]
        self._authorize(request, f"job/{name}")
        run = self._runner.store.get(name, run_id)
        if run is None:
            raise AwsError("EntityNotFoundException", f"Job run {run_id} of {name} not found")
        return {"JobRun": run.description()}

    def _get_job_runs(self, request: Request) -> Payload:
        name = request.payload["JobName"]
        self._authorize(request, f"job/{name}")
        self._job(name)
        runs = [run.description() for run in self._runner.store.of_job(name)]
        return one_page(runs, request, "JobRuns", PAGE_SIZE)

    def _batch_stop_job_run(self, request: Request) -> Payload:
        name = request.payload["JobName"]
        self._authorize(request, f"job/{name}")
        stopped, errors = [], []
        for run_id in request.payload["JobRunIds"]:
            entry = {"JobName": name, "JobRunId": run_id}
            run = self._runner.store.get(name, run_id)
            if run and self._runner.request_stop(run):
                stopped.append(entry)
                continue
            code, why = (
                ("InvalidInputException", f"is {run.state}") if run else ("EntityNotFoundException", "not found")
            )
            detail = {"ErrorCode": code, "ErrorMessage": f"Job run {run_id} {why}"}
            errors.append({**entry, "ErrorDetail": detail})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def _no_bookmarks(self, request: Request) -> Payload:
        raise AwsError("UnknownOperationException", f"glue:{request.action}: the local home has no job bookmarks")


def _refuse_unsupported(job: Payload) -> None:
    """Raise InvalidInputException naming the part of a definition that is not supported here."""
    command = job.get("Command", {}).get("Name", "glueetl")
    if command != "glueetl":
        raise AwsError("InvalidInputException", f"The local home runs glueetl jobs only, not {command}")
    for field in ("MaxRetries", "JobRunQueuingEnabled"):
        if job.get(field):
            raise AwsError("InvalidInputException", f"The local home does not run jobs with {field} {job[field]}")
