"""Whole DAG runs by Airflow's own ``dag.test``: the real operators and the real S3, services faked at their API."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import run_note_plugin
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import prohibit_commit
from sqlalchemy import delete, select, text, update

from datalake.run_reports import StreamingFilmsReport
from lake_airflow import run_reports
from lake_airflow.defaults import DEFAULT_ARGS, LAKE
from tests.support.aws_services import Emulator
from tests.support.dag_services import FakeAthena, Handler, client_error

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("airflow_db", "lake_services")]

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


def land(emulator: Emulator) -> None:
    emulator.client("s3").put_object(Bucket=LAKE.landing_bucket, Key=LANDED, Body=b"{}\n")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch, dagbag: DagBag) -> None:
    for dag in dagbag.dags.values():
        for task in dag.tasks:
            monkeypatch.setattr(task, "retry_delay", timedelta(0))
            monkeypatch.setattr(task, "retry_exponential_backoff", 0)
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
        (start,) = glue.runs
        assert start["JobName"] == LAKE.streaming_films_job
        assert own_arguments(start) == {"--mode": "hourly"}

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
        assert own_arguments(glue.runs[0]) == {"--mode": "rebuild", "--month": "2026-10"}

    def test_a_run_without_a_month_fails_at_once(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        glue = FakeGlue(aws_calls, lake_services)
        assert states(run(dagbag, "rebuild_streaming_films", month=None))["choose_month"] == "failed"
        assert glue.runs == []


class TestReplay:
    UPLOAD = "repairs/2026-11/mended.json"

    def replay(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], emulator: Emulator, *uploads: bytes, reason: str = "all"
    ) -> tuple[DagRun, FakeGlue]:
        """A run over these uploaded lines; two lines of LANDED are in quarantine."""
        if uploads:
            body = b"\n".join(uploads)
            emulator.client("s3").put_object(Bucket=LAKE.landing_bucket, Key=self.UPLOAD, Body=body)
        counted = {str(name): REPORT[name] for name in run_reports.COUNTS} | {"torn": 0}

        def answer(sql: str) -> list[list[str | None]]:
            if "group by reason" in sql:
                return [["reason", "line_count"], ["not JSON", "1"], ["too late", "1"], ["duplicate", "7"]]
            if "source_file in" in sql:
                held: list[list[str | None]] = [[LANDED, "1", "not JSON"], [LANDED, "2", "too late"]]
                return [["source_file", "source_line", "reason"], *(held if f"'{LANDED}'" in sql else [])]
            return [list(counted), [str(value) for value in counted.values()]]

        FakeAthena(aws_calls, answer)
        glue = FakeGlue(aws_calls, emulator, {**REPORT, "mode": "rebuild"})
        return run(dagbag, "replay_quarantine", month="2026-11", reason=reason), glue

    @staticmethod
    def mended(line: int) -> bytes:
        event = {"timestamp": "2026-11-20T09:59:55Z", "eventtype": "rent", "film_id": 1, "distributor": "amazon"}
        event |= {"platform": "ios", "state": "Utah"}
        return json.dumps({"supersedes": {"source_file": LANDED, "source_line": line}, "event": event}).encode()

    def test_mended_lines_are_published_their_month_rebuilt_and_what_is_left_noted(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        ended, glue = self.replay(dagbag, aws_calls, lake_services, self.mended(1))
        assert set(states(ended).values()) == {"success"}
        assert list(map(own_arguments, glue.runs)) == [{"--mode": "rebuild", "--month": "2026-11"}]
        listed = lake_services.client("s3").list_objects_v2(Bucket=LAKE.landing_bucket, Prefix="streaming-repaired/")
        assert len(listed["Contents"]) == 1
        assert note(ended) == (f"{run_reports.summary(REPORT)}\n\nrepaired: not JSON 1; left in quarantine: too late 1")

    def test_what_is_refused_fails_the_run_after_the_rest_was_brought_in(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        ended, glue = self.replay(
            dagbag, aws_calls, lake_services, self.mended(1), self.mended(2), self.mended(3), reason="not JSON"
        )
        assert ended.state == "failed"
        assert [task for task, state in states(ended).items() if state == "failed"] == ["check_repairs"]
        assert len(glue.runs) == 1
        assert str(note(ended)).endswith(
            "repaired: not JSON 1; left in quarantine: none; refused: 2 lines, see check_repairs"
        )

    @pytest.mark.parametrize("uploads", [(), (b"{broken",)])
    def test_nothing_good_starts_no_job(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator, uploads: tuple[bytes, ...]
    ) -> None:
        ended, glue = self.replay(dagbag, aws_calls, lake_services, *uploads)
        assert states(ended)["publish_repairs"] == "failed"
        assert glue.runs == []


class TestNote:
    """The listener as the scheduler calls it: with the run in a session of its own, which may not commit in between."""

    @pytest.fixture
    def ended(self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator) -> DagRun:
        land(lake_services)
        FakeGlue(aws_calls, lake_services, REPORT)
        committed(aws_calls)
        return run(dagbag, "enrich_streaming_films")

    @staticmethod
    def listen(ended: DagRun, **states_of_tasks: str) -> None:
        with create_session() as session, prohibit_commit(session) as guard:
            of_run = DagRun.id == ended.id
            for task, state in states_of_tasks.items():
                session.execute(
                    update(TaskInstance)
                    .where(TaskInstance.run_id == ended.run_id, TaskInstance.task_id == task)
                    .values(state=state)
                )
            run_note_plugin.RunNote().on_dag_run_success(session.scalars(select(DagRun).where(of_run)).one())
            guard.commit()

    def write(self, ended: DagRun, text: str) -> None:
        """As a person does in the UI."""
        with create_session() as session:
            written = update(DagRunNote).where(DagRunNote.dag_run_id == ended.id)
            session.execute(written.values(content=text, user_id="somebody"))

    def test_a_persons_note_stays(self, ended: DagRun) -> None:
        self.write(ended, "looked at it")
        self.listen(ended)
        assert note(ended) == "looked at it"

    def test_a_run_that_ends_anew_gets_the_new_numbers(self, ended: DagRun) -> None:
        with create_session() as session:
            session.execute(update(XComModel).where(XComModel.run_id == ended.run_id).values(value='"other numbers"'))
        self.listen(ended)
        assert note(ended) == "other numbers"

    def test_a_cleared_task_that_did_not_run_again_says_nothing(self, ended: DagRun) -> None:
        self.listen(ended, reconcile_lines="upstream_failed")
        assert note(ended) is None

    def test_a_note_that_cannot_be_written_leaves_the_scheduler_at_work(
        self, ended: DagRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = note(ended)

        def broken(connection: Any, _: int) -> None:
            connection.execute(delete(DagRunNote))
            connection.execute(text("SELECT * FROM no_such_table"))

        monkeypatch.setattr(run_note_plugin, "_write", broken)
        self.listen(ended, run_job="removed")
        assert note(ended) == before
        assert states(ended)["run_job"] == "removed", "the transaction went on"


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
