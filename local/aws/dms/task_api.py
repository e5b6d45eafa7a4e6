"""Replication tasks: creating, starting, stopping and describing them.

A stored task holds the statistics of its tables under ``Tables``, which AWS's descriptions of a task do not have.

Start types (DMS API reference, StartReplicationTask; Terraform's issue tracker): the first start of a task is
``start-replication``, each later one ``reload-target`` (all tables again) or ``resume-processing`` (the tables that are
not yet completed).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict

from local.aws.dms.base_api import BaseApi, invalid, wrong_state
from local.aws.dms.endpoint_api import EndpointApi
from local.aws.dms.endpoint_settings import MySqlSource, S3Target, SourceUnreachable
from local.aws.dms.full_load import FullLoad, LoadPlan, TableLoad, TaskFailed
from local.aws.dms.resource_store import CONNECTIONS, ENDPOINTS, INSTANCES, TASKS, ResourceStore, filtered, one_page
from local.aws.dms.table_mappings import TableMappings
from local.aws.dms.task_descriptions import IDLE, describe_table, describe_task, note_end
from local.aws.dms.task_settings import TaskSettings
from local.aws.protocol import AwsError, Handler, Payload, Request, Services

log = logging.getLogger("dms")

_PARAMETERS = {
    "ReplicationTaskIdentifier", "SourceEndpointArn", "TargetEndpointArn", "ReplicationInstanceArn", "MigrationType",
    "TableMappings", "ReplicationTaskSettings",
}  # fmt: skip
STOP_SECONDS = 10


class TaskApi(BaseApi):
    """CreateReplicationTask and the other actions on tasks."""

    def __init__(self, services: Services, resources: ResourceStore, endpoints: EndpointApi) -> None:
        super().__init__(services, resources)
        self._endpoints = endpoints
        self._runs: dict[str, tuple[FullLoad, threading.Thread]] = {}
        self.actions: Mapping[str, Handler] = {
            "CreateReplicationTask": self.create,
            "DescribeReplicationTasks": self.describe,
            "ModifyReplicationTask": self.modify,
            "DeleteReplicationTask": self.delete,
            "StartReplicationTask": self.start_task,
            "StopReplicationTask": self.stop_task,
            "DescribeTableStatistics": self.describe_table_statistics,
        }

    def recover(self) -> None:
        """Fail the tasks and connection tests that were running when the process was killed."""
        with self.resources.lock:
            for task in self.resources.by_arn(TASKS).values():
                if task["Status"] not in IDLE:
                    why = "The replication instance was restarted while the task was running."
                    note_end(task, "failed", "FATAL_ERROR", why)
            for connection in self.resources.by_arn(CONNECTIONS).values():
                if connection["Status"] == "testing":
                    connection["Status"] = "failed"
                    connection["LastFailureMessage"] = "The replication instance was restarted during the test."
            self.resources.save()

    def stop_all(self) -> None:
        """Stop every run and wait STOP_SECONDS; the next ``recover`` fails a run that does not end in that time."""
        with self.resources.lock:
            runs = list(self._runs.values())
        for run, _ in runs:
            run.stop.set()
        for _, thread in runs:
            thread.join(STOP_SECONDS)

    def create(self, request: Request) -> Payload:
        """Create a task; it is ready at once."""
        payload = request.payload
        parts = [payload.get(key, "") for key in ("SourceEndpointArn", "TargetEndpointArn", "ReplicationInstanceArn")]
        given = self.authorized(request, *parts, known=_PARAMETERS | {"Tags", "ResourceIdentifier"})
        task = {key: value for key, value in given.items() if key in _PARAMETERS}
        with self.resources.lock:
            self.resources.get(INSTANCES, task.get("ReplicationInstanceArn", ""))
            task["ReplicationTaskSettings"] = self._parsed(task)[3].text
            arn = self.new_arn(TASKS, "ReplicationTaskIdentifier", given)
            task |= {
                "ReplicationTaskIdentifier": given["ReplicationTaskIdentifier"],
                "ReplicationTaskArn": arn,
                "ReplicationTaskCreationDate": time.time(),
                "Status": "ready",
            }
            self.resources.put(TASKS, arn, task)
            return {"ReplicationTask": {**describe_task(task), "Status": "creating"}}

    def _parsed(self, task: Payload) -> tuple[MySqlSource, S3Target, TableMappings, TaskSettings]:
        """The parsed parts of a task; raises AwsError naming what is wrong or not served."""
        if task.get("MigrationType") != "full-load":
            given = task.get("MigrationType")
            raise invalid(f"MigrationType {given!r} is not served by the local home, only full-load")
        source = self._endpoints.parsed(self.resources.get(ENDPOINTS, task.get("SourceEndpointArn", "")))
        target = self._endpoints.parsed(self.resources.get(ENDPOINTS, task.get("TargetEndpointArn", "")))
        if not isinstance(source, MySqlSource) or not isinstance(target, S3Target):
            raise invalid("SourceEndpointArn must be a source endpoint, TargetEndpointArn a target endpoint")
        try:
            mappings = TableMappings.parse(task.get("TableMappings", ""))
            return source, target, mappings, TaskSettings.parse(task.get("ReplicationTaskSettings"))
        except ValueError as error:
            raise invalid(str(error)) from error

    def describe(self, request: Request) -> Payload:
        """List tasks; with WithoutSettings they lack their long settings."""
        given = self.authorized(request, "*", known={"Filters", "MaxRecords", "Marker", "WithoutSettings"})
        keys = {
            "replication-task-arn": "ReplicationTaskArn",
            "replication-task-id": "ReplicationTaskIdentifier",
            "migration-type": "MigrationType",
            "replication-instance-arn": "ReplicationInstanceArn",
        }
        with self.resources.lock:
            tasks = [describe_task(task) for task in self.resources.by_arn(TASKS).values()]
        found = filtered(tasks, given.get("Filters"), keys, "Tasks")
        if given.get("WithoutSettings"):
            long = {"TableMappings", "ReplicationTaskSettings"}
            found = [{key: value for key, value in task.items() if key not in long} for task in found]
        return one_page(found, given, "ReplicationTasks")

    def modify(self, request: Request) -> Payload:
        """Change a task that is not running."""
        arn = self.authorized_arn(request, "ReplicationTaskArn", _PARAMETERS)
        with self.resources.lock:
            task = self._idle_task(arn, "modified")
            new = {**task, **{key: value for key, value in request.payload.items() if key in _PARAMETERS}}
            new["ReplicationTaskSettings"] = self._parsed(new)[3].text
            task.update(new)
            self.resources.save()
            return {"ReplicationTask": {**describe_task(task), "Status": "modifying"}}

    def delete(self, request: Request) -> Payload:
        """Delete a task that is not running."""
        arn = self.authorized_arn(request, "ReplicationTaskArn")
        with self.resources.lock:
            task = self._idle_task(arn, "deleted")
            self.resources.delete(TASKS, arn)
            return {"ReplicationTask": {**describe_task(task), "Status": "deleting"}}

    def start_task(self, request: Request) -> Payload:
        """Start a run in the background."""
        arn = self.authorized_arn(request, "ReplicationTaskArn", {"StartReplicationTaskType"})
        kind = request.payload["StartReplicationTaskType"]
        with self.resources.lock:
            task = self._idle_task(arn, "started")
            if (kind == "start-replication") is not (task["Status"] == "ready"):
                when = "running for the first time" if kind == "start-replication" else "that were started before"
                name = kind.replace("-", "_").upper()
                wrong = f"Start Type : {name}, valid only for tasks {when}"
                raise AwsError("InvalidParameterCombinationException", wrong)
            source, target, mappings, settings = self._parsed(task)
            reader = self.services.session(source.role_arn, "dms-source")
            writer = self.services.session(target.role_arn, "dms-target")
            plan = LoadPlan(source, target, mappings, settings, reader, writer)
            now = time.time()
            run = FullLoad(plan, reload=kind == "reload-target", on_progress=lambda: self._save_progress(arn, run))
            if kind == "resume-processing":
                run.tables = {(table["schema"], table["name"]): TableLoad(**table) for table in task.get("Tables", [])}
            else:
                task["FreshStartDate"] = now
            task.update({"Status": "starting", "ReplicationTaskStartDate": now, "StartDate": now})
            for key in ("StopDate", "StopReason", "LastFailureMessage"):
                task.pop(key, None)
            thread = threading.Thread(target=self._run_in_background, args=(arn, run), daemon=True, name=f"dms {arn}")
            self._runs[arn] = (run, thread)
            self.resources.save()
            answer = describe_task(task)
        thread.start()
        return {"ReplicationTask": answer}

    def stop_task(self, request: Request) -> Payload:
        """Stop a run before its next table."""
        arn = self.authorized_arn(request, "ReplicationTaskArn")
        with self.resources.lock:
            task = self.resources.get(TASKS, arn)
            if task["Status"] not in ("starting", "running"):
                raise wrong_state(f"Replication Task cannot be stopped, invalid state: {task['Status']}")
            task["Status"] = "stopping"
            self._runs[arn][0].stop.set()
            self.resources.save()
            return {"ReplicationTask": describe_task(task)}

    def describe_table_statistics(self, request: Request) -> Payload:
        """Rows, times and state of each table of the latest run."""
        arn = self.authorized_arn(request, "ReplicationTaskArn", {"Filters", "MaxRecords", "Marker"})
        keys = {"schema-name": "SchemaName", "table-name": "TableName", "table-state": "TableState"}
        with self.resources.lock:
            tables = [describe_table(table) for table in self._tables(arn)]
        for wanted in request.payload.get("Filters") or []:
            if wanted["Name"] not in keys:
                raise invalid(f"Filter {wanted['Name']} is not one of {sorted(keys)}")
            tables = [table for table in tables if table[keys[wanted["Name"]]] in wanted["Values"]]
        return {"ReplicationTaskArn": arn, **one_page(tables, request.payload, "TableStatistics", most=500)}

    def _tables(self, arn: str) -> list[Payload]:
        """The statistics of the run in progress, or else the stored ones."""
        task = self.resources.get(TASKS, arn)
        if arn in self._runs:
            task["Tables"] = [asdict(table) for table in list(self._runs[arn][0].tables.values())]
        return list(task.get("Tables", []))

    def _idle_task(self, arn: str, what: str) -> Payload:
        task = self.resources.get(TASKS, arn)
        if task["Status"] not in IDLE:
            raise wrong_state(f"Replication Task cannot be {what}, invalid state: {task['Status']}")
        return task

    def _save_progress(self, arn: str, run: FullLoad) -> None:
        """Store the progress of a run."""
        with self.resources.lock:
            task = self.resources.get(TASKS, arn)
            task["Tables"] = [asdict(table) for table in run.tables.values()]
            if task["Status"] == "starting":
                task["Status"] = "running"
            self.resources.save()

    def _run_in_background(self, arn: str, run: FullLoad) -> None:
        """Load the tables and store how it ended; runs in a thread of its own."""
        log.info("%s starts", arn)
        status, reason, message = "stopped", "FULL_LOAD_ONLY_FINISHED", ""
        try:
            if not run.load():
                reason = "NORMAL"
        except (TaskFailed, SourceUnreachable, AwsError) as error:
            status, reason, message = "failed", "FATAL_ERROR", str(error)
        except Exception as error:
            log.exception("%s", arn)
            status, reason, message = "failed", "FATAL_ERROR", f"{type(error).__name__}: {error}"
        log.info("%s ends: %s %s", arn, status, message or reason)
        with self.resources.lock:
            task = self.resources.get(TASKS, arn)
            task["Tables"] = [asdict(table) for table in run.tables.values()]
            del self._runs[arn]
            note_end(task, status, reason, message)
            self.resources.save()
