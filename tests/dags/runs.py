"""What the tests of whole DAG runs share: a Glue whose jobs end as a test says, and views of a run."""

from __future__ import annotations

import json
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.utils.session import create_session
from sqlalchemy import select

from datalake.run_reports import StreamingFilmsReport
from lake_airflow import run_reports
from lake_airflow.defaults import LAKE
from tests.support.aws_services import Emulator
from tests.support.dag_services import FakeAthena, Handler, client_error

LANDED = "streaming/2026/11/events-1-2026-11-20-10-00-00-00000000-0000-0000-0000-000000000000"
REPORT: StreamingFilmsReport = {
    "job": "streaming_films",
    "run_id": "jr_1",
    "mode": "hourly",
    "months": ["2026-11"],
    "objects": 1,
    "landed": 10,
    "enriched": 8,
    "quarantined": 1,
    "duplicates": 1,
    "unknown_films": 0,
    "reasons": {"not JSON": 1, "duplicate": 1},
    "unknown_fields": {},
    "vanished_fields": [],
    "stale_months": [],
    "film_category_snapshot": 7,
    "snapshot_id": 8,
    "too_many_bad": None,
}


class FakeGlue:
    """Glue's job runs: each start writes the given report, if any, and ends in the given state."""

    def __init__(
        self, aws_calls: dict[str, Handler], emulator: Emulator, report: StreamingFilmsReport | None = None
    ) -> None:
        self.emulator, self.report = emulator, report
        self.state, self.message = "SUCCEEDED", ""
        self.refusals = 0  # starts to refuse, as another run is in progress
        self.runs: list[dict[str, Any]] = []
        aws_calls["glue.GetJob"] = lambda request: {"Job": {"Name": request["JobName"]}}
        aws_calls["glue.StartJobRun"] = self._start
        aws_calls["glue.GetJobRun"] = self._get
        aws_calls["glue.GetJobRuns"] = lambda _: {"JobRuns": []}  # of those in progress, here none
        aws_calls["logs.GetLogEvents"] = lambda _: {"events": [{"message": "INFO done"}], "nextBackwardToken": "b/0"}

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.refusals:
            self.refusals -= 1
            raise client_error("ConcurrentRunsExceededException", "StartJobRun")
        self.runs.append(request)
        run_id = f"jr_{len(self.runs)}"
        if self.report:
            body = json.dumps({**self.report, "run_id": run_id}).encode()
            key = f"runs/{self.report['job']}/{run_id}.json"
            self.emulator.client("s3").put_object(Bucket=LAKE.curated_bucket, Key=key, Body=body)
        return {"JobRunId": run_id}

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        run = {"Id": request["RunId"], "JobRunState": self.state, "ErrorMessage": self.message}
        return {"JobRun": {**run, "LogGroupName": "/aws-glue/jobs"}}


def own_arguments(start: dict[str, Any]) -> dict[str, str]:
    """What a run was started with, but for the name of its task."""
    return {name: value for name, value in start["Arguments"].items() if name != "--airflow_task_uuid"}


def committed(aws_calls: dict[str, Handler], **changes: Any) -> FakeAthena:
    """Athena that finds in the tables what REPORT says, but for these changes."""
    found: dict[str, Any] = {name: REPORT[name] for name in run_reports.COUNTS}
    found |= {"torn": 0, "torn_example": None, **changes}
    return FakeAthena(aws_calls, lambda _: [list(found), [v if v is None else str(v) for v in found.values()]])


def run(dagbag: DagBag, dag_id: str, **conf: Any) -> DagRun:
    """One run by hand with these parameters; it has no data interval."""
    return dagbag.dags[dag_id].test(run_conf=conf, logical_date=None)


def states(dag_run: DagRun) -> dict[str, str | None]:
    return {ti.task_id: ti.state for ti in dag_run.get_task_instances()}


def note(dag_run: DagRun) -> str | None:
    """The run's note, as the UI shows it."""
    with create_session() as session:
        return session.scalar(select(DagRunNote.content).where(DagRunNote.dag_run_id == dag_run.id))


def announced(dag_run: DagRun) -> list[str | None]:
    """The months for which the run has emitted an asset event."""
    with create_session() as session:
        of_run = AssetEvent.source_run_id == dag_run.run_id
        return list(session.scalars(select(AssetEvent.partition_key).where(of_run).order_by(AssetEvent.partition_key)))


def land(emulator: Emulator) -> None:
    emulator.client("s3").put_object(Bucket=LAKE.landing_bucket, Key=LANDED, Body=b"{}\n")
