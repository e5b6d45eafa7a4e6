"""Tasks and the statistics of their tables as AWS returns them."""

from __future__ import annotations

import time

from local.aws.dms.full_load import BEFORE_LOAD, COMPLETED, ERROR, LOADING
from local.aws.protocol import Payload

IDLE = ("ready", "stopped", "failed")
_COUNTERS = (
    "Inserts", "Deletes", "Updates", "Ddls", "AppliedInserts", "AppliedDeletes", "AppliedUpdates", "AppliedDdls",
)  # fmt: skip


def note_end(task: Payload, status: str, reason: str, message: str) -> None:
    """Record in a task how its run ended."""
    task.update({"Status": status, "StopReason": f"Stop Reason {reason}", "StopDate": time.time()})
    if message:
        task["LastFailureMessage"] = message
    for table in task.get("Tables", []):
        if table["state"] == LOADING:
            table["state"] = ERROR


def describe_task(task: Payload) -> Payload:
    """A task as AWS returns it."""
    tables = task.get("Tables", [])
    done = [table for table in tables if table["state"] == COMPLETED]
    began = task.get("StartDate")
    stats: Payload = {
        "FullLoadProgressPercent": 100 * len(done) // len(tables) if tables else 0,
        "ElapsedTimeMillis": int(1000 * (task.get("StopDate", time.time()) - began)) if began else 0,
        "TablesLoaded": len(done),
        "TablesLoading": sum(table["state"] == LOADING for table in tables),
        "TablesQueued": sum(table["state"] == BEFORE_LOAD for table in tables),
        "TablesErrored": sum(table["state"] == ERROR for table in tables),
        **{key: task[key] for key in ("FreshStartDate", "StartDate", "StopDate") if key in task},
    }
    if began:
        stats["FullLoadStartDate"] = began
        if task["Status"] in IDLE:
            stats["FullLoadFinishDate"] = task["StopDate"]
    hidden = {"Tables", "FreshStartDate", "StartDate", "StopDate"}
    return {**{key: value for key, value in task.items() if key not in hidden}, "ReplicationTaskStats": stats}


def describe_table(table: Payload) -> Payload:
    """A table's statistics as AWS returns them. The counters of captured and validated rows stay 0."""
    answer: Payload = {
        "SchemaName": table["schema"],
        "TableName": table["name"],
        **dict.fromkeys(_COUNTERS, 0),
        "FullLoadRows": table["rows"],
        "FullLoadCondtnlChkFailedRows": 0,
        "FullLoadErrorRows": table["error_rows"],
        "FullLoadReloaded": table["reloaded"],
        "TableState": table["state"],
        "ValidationPendingRecords": 0,
        "ValidationFailedRecords": 0,
        "ValidationSuspendedRecords": 0,
        "ValidationState": "Not enabled",
        "LastUpdateTime": table["ended"] or table["began"] or time.time(),
    }
    if table["began"]:
        answer["FullLoadStartTime"] = table["began"]
    if table["ended"]:
        answer["FullLoadEndTime"] = table["ended"]
    return answer
