"""Replication tasks: made, started, stopped, watched. A task keeps its statistics beside what AWS returns of it.

States and their words (DMS API reference, StartReplicationTask; Terraform's issue tracker): the first start of a task
is ``start-replication``, each later one ``reload-target`` (all tables again) or ``resume-processing`` (those that are
not yet completed).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from local.aws.dms.api import Api, in_state, invalid
from local.aws.dms.endpoint_api import EndpointApi
from local.aws.dms.endpoints import MySqlSource, S3Target, SourceUnreachable
from local.aws.dms.full_load import Job, Run, TableRun, TaskFailed
from local.aws.dms.mappings import TableMappings
from local.aws.dms.resources import CONNECTIONS, ENDPOINTS, INSTANCES, TASKS, Resources, filtered, page
from local.aws.dms.task_settings import TaskSettings
from local.aws.dms.task_view import IDLE, end, statistics, view
from local.aws.protocol import AwsError, Handler, Payload, Request, Services

log = logging.getLogger("dms")

_KEPT = {
    "ReplicationTaskIdentifier",
    "SourceEndpointArn",
    "TargetEndpointArn",
    "ReplicationInstanceArn",
    "MigrationType",
    "TableMappings",
    "ReplicationTaskSettings",
}
STOP_SECONDS = 10


class TaskApi(Api):
    """CreateReplicationTask and its kin."""

    def __init__(self, services: Services, resources: Resources, endpoints: EndpointApi) -> None:
        super().__init__(services, resources)
        self._endpoints = endpoints
        self._runs: dict[str, tuple[Run, threading.Thread]] = {}
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
        """What was under way when the process was killed has failed."""
        with self.resources.lock:
            for task in self.resources.of(TASKS).values():
                if task["Status"] not in IDLE:
                    end(
                        task,
                        "failed",
                        "FATAL_ERROR",
                        "The replication instance was restarted while the task was running.",
                    )
            for connection in self.resources.of(CONNECTIONS).values():
                if connection["Status"] == "testing":
                    connection["Status"] = "failed"
                    connection["LastFailureMessage"] = "The replication instance was restarted during the test."
            self.resources.save()

    def stop_all(self) -> None:
        """Tell every run to stop and wait a little; one that does not end in time is failed by the next ``recover``."""
        with self.resources.lock:
            runs = list(self._runs.values())
        for run, _ in runs:
            run.stop.set()
        for _, thread in runs:
            thread.join(STOP_SECONDS)

    def create(self, request: Request) -> Payload:
        """Make a task; it is ready at once."""
        payload = request.payload
        parts = [payload.get(key, "") for key in ("SourceEndpointArn", "TargetEndpointArn", "ReplicationInstanceArn")]
        given = self.given(request, *parts, known=_KEPT | {"Tags", "ResourceIdentifier"})
        task = {key: value for key, value in given.items() if key in _KEPT}
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
            self.resources.of(TASKS)[arn] = task
            self.resources.save()
            return {"ReplicationTask": {**view(task), "Status": "creating"}}

    def _parsed(self, task: Payload) -> tuple[MySqlSource, S3Target, TableMappings, TaskSettings]:
        """What a task is made of; raises AwsError naming what is wrong or not served."""
        if task.get("MigrationType") != "full-load":
            raise invalid(
                f"MigrationType {task.get('MigrationType')!r} is not served by the local home, only full-load"
            )
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
        """List tasks, on demand without their long settings."""
        given = self.given(request, "*", known={"Filters", "MaxRecords", "Marker", "WithoutSettings"})
        keys = {
            "replication-task-arn": "ReplicationTaskArn",
            "replication-task-id": "ReplicationTaskIdentifier",
            "migration-type": "MigrationType",
            "replication-instance-arn": "ReplicationInstanceArn",
        }
        with self.resources.lock:
            tasks = [view(task) for task in self.resources.of(TASKS).values()]
        found = filtered(tasks, given.get("Filters"), keys, "Tasks")
        if given.get("WithoutSettings"):
            long = {"TableMappings", "ReplicationTaskSettings"}
            found = [{key: value for key, value in task.items() if key not in long} for task in found]
        return page(found, given, "ReplicationTasks")

    def modify(self, request: Request) -> Payload:
        """Change a task that is not running."""
        arn = self.given_arn(request, "ReplicationTaskArn", _KEPT)
        with self.resources.lock:
            task = self._idle(arn, "modified")
            new = {**task, **{key: value for key, value in request.payload.items() if key in _KEPT}}
            new["ReplicationTaskSettings"] = self._parsed(new)[3].text
            task.update(new)
            self.resources.save()
            return {"ReplicationTask": {**view(task), "Status": "modifying"}}

    def delete(self, request: Request) -> Payload:
        """Delete a task that is not running."""
        arn = self.given_arn(request, "ReplicationTaskArn")
        with self.resources.lock:
            task = self._idle(arn, "deleted")
            self.resources.delete(TASKS, arn)
            self.resources.save()
            return {"ReplicationTask": {**view(task), "Status": "deleting"}}

    def start_task(self, request: Request) -> Payload:
        """Begin a run in the background."""
        arn = self.given_arn(request, "ReplicationTaskArn", {"StartReplicationTaskType"})
        kind = request.payload["StartReplicationTaskType"]
        with self.resources.lock:
            task = self._idle(arn, "started")
            if (kind == "start-replication") is not (task["Status"] == "ready"):
                when = "running for the first time" if kind == "start-replication" else "that were started before"
                name = kind.replace("-", "_").upper()
                raise AwsError(
                    "InvalidParameterCombinationException", f"Start Type : {name}, valid only for tasks {when}"
                )
            source, target, mappings, settings = self._parsed(task)
            job = Job(
                source,
                target,
                mappings,
                settings,
                self.services.session(source.role_arn, "dms-source"),
                self.services.session(target.role_arn, "dms-target"),
            )
            now = time.time()
            run = Run(job, reload=kind == "reload-target", saved=lambda: self._keep(arn, run))
            if kind == "resume-processing":
                run.tables = {(table["schema"], table["name"]): TableRun(**table) for table in task.get("Tables", [])}
            else:
                task["FreshStartDate"] = now
            task.update({"Status": "starting", "ReplicationTaskStartDate": now, "StartDate": now})
            for key in ("StopDate", "StopReason", "LastFailureMessage"):
                task.pop(key, None)
            thread = threading.Thread(target=self._run, args=(arn, run), daemon=True, name=f"dms {arn}")
            self._runs[arn] = (run, thread)
            self.resources.save()
            answer = view(task)
        thread.start()
        return {"ReplicationTask": answer}

    def stop_task(self, request: Request) -> Payload:
        """Stop a run before its next table."""
        arn = self.given_arn(request, "ReplicationTaskArn")
        with self.resources.lock:
            task = self.resources.get(TASKS, arn)
            if task["Status"] not in ("starting", "running"):
                raise in_state(f"Replication Task cannot be stopped, invalid state: {task['Status']}")
            task["Status"] = "stopping"
            self._runs[arn][0].stop.set()
            self.resources.save()
            return {"ReplicationTask": view(task)}

    def describe_table_statistics(self, request: Request) -> Payload:
        """Rows, times and states table by table, of the latest run."""
        arn = self.given_arn(request, "ReplicationTaskArn", {"Filters", "MaxRecords", "Marker"})
        keys = {"schema-name": "SchemaName", "table-name": "TableName", "table-state": "TableState"}
        with self.resources.lock:
            tables = [statistics(table) for table in self._tables(arn)]
        for wanted in request.payload.get("Filters") or []:
            if wanted["Name"] not in keys:
                raise invalid(f"Filter {wanted['Name']} is not one of {sorted(keys)}")
            tables = [table for table in tables if table[keys[wanted["Name"]]] in wanted["Values"]]
        return {"ReplicationTaskArn": arn, **page(tables, request.payload, "TableStatistics", most=500)}

    def _tables(self, arn: str) -> list[Payload]:
        """Live figures of a run that is under way, else those that were kept."""
        task = self.resources.get(TASKS, arn)
        if arn in self._runs:
            task["Tables"] = [table.as_dict() for table in list(self._runs[arn][0].tables.values())]
        return list(task.get("Tables", []))

    def _idle(self, arn: str, what: str) -> Payload:
        task = self.resources.get(TASKS, arn)
        if task["Status"] not in IDLE:
            raise in_state(f"Replication Task cannot be {what}, invalid state: {task['Status']}")
        return task

    def _keep(self, arn: str, run: Run) -> None:
        """Save where a run stands."""
        with self.resources.lock:
            task = self.resources.get(TASKS, arn)
            task["Tables"] = [table.as_dict() for table in run.tables.values()]
            if task["Status"] == "starting":
                task["Status"] = "running"
            self.resources.save()

    def _run(self, arn: str, run: Run) -> None:
        """The background thread of one run."""
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
            task["Tables"] = [table.as_dict() for table in run.tables.values()]
            del self._runs[arn]
            end(task, status, reason, message)
            self.resources.save()
