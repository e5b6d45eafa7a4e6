"""Glue jobs: definitions are kept by the emulator (and completed), runs are spark-submits of the job's own script.

Left out, with a clear error: Python shell, streaming and Ray jobs, bookmarks, queued runs, automatic retries, Spark's
own catalog in Glue, jars of a job's own. Workers and their number are noted and not used: a run has this machine. All
that the script's Python prints is in the log group /output (on AWS what it writes to stderr is in /error).
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from pathlib import Path

from local.aws.glue_jobs import arguments as args
from local.aws.glue_jobs.runner import Runner
from local.aws.glue_jobs.runs import Run
from local.aws.protocol import AwsError, Handler, Payload, Request, Services
from local.aws.settings import ACCOUNT, REGION
from local.engines.files import write_atomically

DEFAULT_TIMEOUT = 480  # minutes, Glue 5.0 and later
MINUTE_SECONDS = 60.0
PAGE = 200  # GetJobRuns gives at most so many at once

# What the emulator keeps of a definition, and what AWS makes of a field that an update leaves out.
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


class GlueJobs:
    """Jobs and their runs."""

    service = "glue"
    passes_through = True

    def __init__(self, services: Services, minute: float = MINUTE_SECONDS) -> None:
        self._services = services
        self._folder: Path = services.settings.data / "glue_jobs"
        self._lock = threading.RLock()
        self._extras_path = self._folder / "definitions.json"
        self._extras: dict[str, Payload] = (
            json.loads(self._extras_path.read_text()) if self._extras_path.exists() else {}
        )
        self._runner = Runner(services, self._folder, minute)
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
        """Find the runs again that were under way."""
        self._runner.resume()

    def stop(self) -> None:
        """End the runs that are under way: nothing of the home outlives it."""
        self._runner.stop()

    # definitions

    def _create_job(self, request: Request) -> Payload:
        given = request.payload
        self._authorize(request, given["Name"])
        self._services.authorize(request.caller, "iam:PassRole", role_arn(given["Role"]))
        _check_definition(given)
        reply = self._call("CreateJob", {"Timeout": DEFAULT_TIMEOUT, "GlueVersion": "5.1", **given})
        self._keep_extras(given["Name"], given)
        return reply

    def _update_job(self, request: Request) -> Payload:
        name, given = request.payload["JobName"], request.payload["JobUpdate"]
        self._authorize(request, name)
        if "Role" in given:
            self._services.authorize(request.caller, "iam:PassRole", role_arn(given["Role"]))
        _check_definition(given)
        self._call("UpdateJob", {"JobName": name, "JobUpdate": KEPT_BY_EMULATOR | given})
        self._keep_extras(name, given)
        return {"JobName": name}

    def _delete_job(self, request: Request) -> Payload:
        self._authorize(request, request.payload["JobName"])
        self._keep_extras(request.payload["JobName"], {})
        return self._call("DeleteJob", request.payload)

    def _get_job(self, request: Request) -> Payload:
        self._authorize(request, request.payload["JobName"])
        return {"Job": self._job(request.payload["JobName"])}

    def _get_jobs(self, request: Request) -> Payload:
        self._authorize(request, "*")
        return {"Jobs": [self._completed(job) for job in self._call("GetJobs", {})["Jobs"]]}

    def _batch_get_jobs(self, request: Request) -> Payload:
        wanted = request.payload["JobNames"]
        for name in wanted:
            self._authorize(request, name)
        jobs = {job["Name"]: self._completed(job) for job in self._call("GetJobs", {})["Jobs"]}
        return {
            "Jobs": [jobs[name] for name in wanted if name in jobs],
            "JobsNotFound": [name for name in wanted if name not in jobs],
        }

    def _list_jobs(self, request: Request) -> Payload:
        self._authorize(request, "*")
        return {"JobNames": sorted(job["Name"] for job in self._call("GetJobs", {})["Jobs"])}

    def _job(self, name: str) -> Payload:
        return self._completed(self._call("GetJob", {"JobName": name})["Job"])

    def _completed(self, job: Payload) -> Payload:
        """A definition with what the emulator drops of it and without its tags, which AWS tells by GetTags alone.

        One job runs once at a time unless it says otherwise.
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
        self._authorize(request, given["JobName"])
        if "JobRunId" in given:
            raise AwsError("InvalidInputException", "The local home does not repeat a run by JobRunId; start a new one")
        job = self._job(given["JobName"])
        _check_definition(job)
        run_id = f"jr_{secrets.token_hex(32)}"
        arguments = {
            "--JOB_ID": f"j_{secrets.token_hex(32)}",
            "--JOB_RUN_ID": run_id,
            "--JOB_NAME": job["Name"],
            "--TempDir": f"s3://aws-glue-assets-{ACCOUNT}-{REGION}/temporary/",
            **args.merged(job, given.get("Arguments", {})),
        }
        args.check(arguments)
        details = {key: given.get(key, job.get(key)) for key in ("WorkerType", "NumberOfWorkers", "MaxCapacity")}
        details["GlueVersion"] = job.get("GlueVersion")
        run = Run(
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
            running = [other for other in self._runner.store.of(run.job_name) if other.is_unfinished]
            if len(running) >= limit:
                raise AwsError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {run.job_name}")
            self._runner.store.save(run)
        self._runner.start(run)
        return {"JobRunId": run_id}

    def _get_job_run(self, request: Request) -> Payload:
        name, run_id = request.payload["JobName"], request.payload["RunId"]
        self._authorize(request, name)
        run = self._runner.store.get(name, run_id)
        if run is None:
            raise AwsError("EntityNotFoundException", f"Job run {run_id} of {name} not found")
        return {"JobRun": run.described()}

    def _get_job_runs(self, request: Request) -> Payload:
        name = request.payload["JobName"]
        self._authorize(request, name)
        self._job(name)
        runs = self._runner.store.of(name)
        first = int(request.payload.get("NextToken") or 0)
        last = first + int(request.payload.get("MaxResults") or PAGE)
        reply: Payload = {"JobRuns": [run.described() for run in runs[first:last]]}
        return reply | ({"NextToken": str(last)} if last < len(runs) else {})

    def _batch_stop_job_run(self, request: Request) -> Payload:
        name = request.payload["JobName"]
        self._authorize(request, name)
        stopped, errors = [], []
        for run_id in request.payload["JobRunIds"]:
            named = {"JobName": name, "JobRunId": run_id}
            run = self._runner.store.get(name, run_id)
            if run is None:
                detail = {"ErrorCode": "EntityNotFoundException", "ErrorMessage": f"Job run {run_id} not found"}
                errors.append({**named, "ErrorDetail": detail})
            elif not self._runner.request_stop(run):
                detail = {"ErrorCode": "InvalidInputException", "ErrorMessage": f"Job run {run_id} is {run.state}"}
                errors.append({**named, "ErrorDetail": detail})
            else:
                stopped.append(named)
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def _no_bookmarks(self, request: Request) -> Payload:
        raise AwsError("UnknownOperationException", f"glue:{request.action}: the local home has no job bookmarks")

    # small things

    def _authorize(self, request: Request, job: str) -> None:
        arn = f"arn:aws:glue:{REGION}:{ACCOUNT}:job/{job}"
        self._services.authorize(request.caller, f"glue:{request.action}", arn)

    def _call(self, action: str, payload: Payload) -> Payload:
        return self._services.call_as_root("glue", f"AWSGlue.{action}", payload)


def role_arn(role: str) -> str:
    """A job's role, which may be given by name."""
    return role if role.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/{role}"


def _check_definition(job: Payload) -> None:
    """Refuse, by name, what a definition asks for and a run here would not do."""
    command = job.get("Command", {}).get("Name", "glueetl")
    if command != "glueetl":
        raise AwsError("InvalidInputException", f"The local home runs glueetl jobs only, not {command}")
    for field in ("MaxRetries", "JobRunQueuingEnabled"):
        if job.get(field):
            raise AwsError("InvalidInputException", f"The local home runs no jobs with {field} {job[field]}")
