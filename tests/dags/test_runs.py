"""Whole DAG runs by Airflow's own ``dag.test``: the real operators and the real S3, services faked at their API."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.utils.session import create_session
from sqlalchemy import select

from lake_airflow import run_reports
from lake_airflow.defaults import DEFAULT_ARGS, LAKE
from tests.aws import FakeAthena, Handler, client_error
from tests.services import Emulator

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("airflow_db", "lake_services")]

LANDED = "streaming/2026/11/events-1-2026-11-20-10-00-00-00000000-0000-0000-0000-000000000000"
REPORT: dict[str, Any] = {
    "job": "streaming_films",
    "mode": "hourly",
    "months": ["2026-11"],
    "objects": 1,
    "landed": 10,
    "enriched": 8,
    "quarantined": 1,
    "duplicates": 1,
    "unknown_films": 0,
    "unknown_fields": {},
    "vanished_fields": [],
    "stale_months": [],
}


class FakeGlue:
    """Glue's job runs: each start writes the given report, if any, and ends in the given state."""

    def __init__(self, aws_calls: dict[str, Handler], emulator: Emulator, report: dict[str, Any] | None = None) -> None:
        self.emulator, self.report = emulator, report
        self.state, self.message = "SUCCEEDED", ""
        self.refusals = 0  # starts to refuse, as another run is in progress
        self.runs: list[dict[str, Any]] = []
        aws_calls["glue.GetJob"] = lambda request: {"Job": {"Name": request["JobName"]}}
        aws_calls["glue.StartJobRun"] = self._start
        aws_calls["glue.GetJobRun"] = self._get

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
        return {"JobRun": run}


def committed(aws_calls: dict[str, Handler], **changes: Any) -> FakeAthena:
    """Athena that finds in the tables what REPORT says, but for these changes."""
    found = {**{name: REPORT[name] for name in run_reports.COUNTS}, "torn": 0, "torn_example": None, **changes}
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


def land(emulator: Emulator) -> None:
    emulator.client("s3").put_object(Bucket=LAKE.landing_bucket, Key=LANDED, Body=b"{}\n")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch, dagbag: DagBag) -> None:
    for dag in dagbag.dags.values():
        for task in dag.tasks:
            monkeypatch.setattr(task, "retry_delay", timedelta(0))
            for interval in ("job_poll_interval", "sleep_time", "poke_interval", "poll_interval"):
                if hasattr(task, interval):
                    monkeypatch.setattr(task, interval, 0)


class TestEnrich:
    def test_an_hour_with_nothing_landed_starts_no_job(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        glue = FakeGlue(aws_calls, lake_services)
        ended = run(dagbag, "enrich_streaming_films")
        assert ended.state == "success"
        assert states(ended).pop("find_new_objects") == "success"
        assert [state for task, state in states(ended).items() if task != "find_new_objects"] == ["skipped"] * 3
        assert glue.runs == []
        assert note(ended) is None

    def test_new_objects_are_enriched_and_reconciled(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        land(lake_services)
        glue = FakeGlue(aws_calls, lake_services, REPORT)
        committed(aws_calls)
        ended = run(dagbag, "enrich_streaming_films")
        assert set(states(ended).values()) == {"success"}
        assert note(ended) == run_reports.summary(REPORT)
        assert [(start["JobName"], start["Arguments"]) for start in glue.runs] == [
            (LAKE.streaming_films_job, {"--mode": "hourly"})
        ]

    @pytest.mark.parametrize("found", [{"enriched": 7}, {"torn": 1, "torn_example": LANDED}])
    def test_lost_lines_fail_the_run_and_its_note_says_what_was_counted(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator, found: dict[str, Any]
    ) -> None:
        land(lake_services)
        FakeGlue(aws_calls, lake_services, REPORT)
        committed(aws_calls, **found)
        ended = run(dagbag, "enrich_streaming_films")
        assert ended.state == "failed"
        assert states(ended)["reconcile_lines"] == "failed"
        assert note(ended) == run_reports.summary(REPORT)

    def test_another_run_of_the_job_is_waited_for(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        land(lake_services)
        glue = FakeGlue(aws_calls, lake_services, REPORT)
        glue.refusals = 3
        committed(aws_calls)
        assert run(dagbag, "enrich_streaming_films").state == "success"
        assert len(glue.runs) == 1

    def test_a_job_that_asks_for_a_look_is_not_tried_again(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        land(lake_services)
        glue = FakeGlue(aws_calls, lake_services, REPORT)
        glue.state, glue.message = "FAILED", "TooManyBadLines: 200 of 300 lines are bad"
        assert states(run(dagbag, "enrich_streaming_films"))["run_job"] == "failed"
        assert len(glue.runs) == 1

    def test_any_other_failure_is_tried_again(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        land(lake_services)
        glue = FakeGlue(aws_calls, lake_services, REPORT)
        glue.state, glue.message = "FAILED", "An executor was lost"
        assert states(run(dagbag, "enrich_streaming_films"))["run_job"] == "failed"
        assert len(glue.runs) == 1 + DEFAULT_ARGS["retries"]


class TestRebuild:
    def test_the_month_of_the_parameter_is_rebuilt(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        glue = FakeGlue(aws_calls, lake_services, {**REPORT, "mode": "rebuild", "months": ["2026-10"]})
        committed(aws_calls)
        ended = run(dagbag, "rebuild_streaming_films", month="2026-10")
        assert set(states(ended).values()) == {"success"}
        assert glue.runs[0]["Arguments"] == {"--mode": "rebuild", "--month": "2026-10"}

    def test_a_run_without_a_month_fails_at_once(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        glue = FakeGlue(aws_calls, lake_services)
        assert states(run(dagbag, "rebuild_streaming_films", month=None))["choose_month"] == "failed"
        assert glue.runs == []


class TestReport:
    def test_a_query_over_the_limit_is_paid_once(self, dagbag: DagBag, aws_calls: dict[str, Handler]) -> None:
        athena = FakeAthena(aws_calls, lambda _: [], state="CANCELLED", reason="Bytes scanned limit was exceeded")
        ended = states(run(dagbag, "report_film_popularity", month="2026-11"))
        queries = [task for task in ended if task.startswith("query_")]
        assert {ended[task] for task in queries} == {"failed"}
        assert len(athena.queries) == len(queries)

    def test_any_other_failure_is_tried_again(self, dagbag: DagBag, aws_calls: dict[str, Handler]) -> None:
        athena = FakeAthena(aws_calls, lambda _: [], state="FAILED", reason="GENERIC_INTERNAL_ERROR")
        ended = states(run(dagbag, "report_film_popularity", month="2026-11"))
        queries = [task for task in ended if task.startswith("query_")]
        assert len(athena.queries) == len(queries) * (1 + DEFAULT_ARGS["retries"])

    def test_results_are_published(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        athena = FakeAthena(aws_calls, lambda _: [])
        s3 = lake_services.client("s3")
        for number in range(3):
            s3.put_object(Bucket=LAKE.results_bucket, Key=f"athena/{number}.csv", Body=f"result {number}".encode())
        assert run(dagbag, "report_film_popularity", month="2026-11").state == "success"
        published = {
            entry["Key"]: s3.get_object(Bucket=LAKE.results_bucket, Key=entry["Key"])["Body"].read().decode()
            for entry in s3.list_objects_v2(Bucket=LAKE.results_bucket, Prefix="reports/")["Contents"]
        }
        assert sorted(published) == [
            "reports/2026/11/film_popularity.csv",
            "reports/overall_top_streaming_categories.csv",
            "reports/overall_top_streaming_states.csv",
        ]
        of_month = next(n for n, sql in enumerate(athena.queries) if "rentals" in sql)
        assert published["reports/2026/11/film_popularity.csv"] == f"result {of_month}"
        assert "partition_0 = '2026'" in athena.queries[of_month]
        assert "partition_1 = '11'" in athena.queries[of_month]
