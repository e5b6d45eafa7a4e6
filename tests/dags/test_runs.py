"""Whole DAG runs by Airflow's own ``dag.test``: the real operators and the real S3, services faked at their API."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from lake_airflow import run_reports
from lake_airflow.defaults import DEFAULT_ARGS, LAKE
from tests.dags.runs import LANDED, REPORT, FakeGlue, announced, committed, land, note, own_arguments, run, states
from tests.support.aws_services import Emulator
from tests.support.dag_services import FakeAthena, Handler

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("airflow_db", "lake_services", "no_waiting")]


class TestEnrich:
    def test_an_hour_with_nothing_landed_starts_no_job(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        glue = FakeGlue(aws_calls, lake_services)
        ended = run(dagbag, "enrich_streaming_films")
        assert ended.state == "success"
        assert states(ended).pop("find_new_objects") == "success"
        assert [state for task, state in states(ended).items() if task != "find_new_objects"] == ["skipped"] * 4
        assert glue.runs == []
        assert note(ended) is None

    def test_new_objects_are_enriched_and_reconciled(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        land(lake_services)
        glue = FakeGlue(aws_calls, lake_services, REPORT)
        athena = committed(aws_calls)
        ended = run(dagbag, "enrich_streaming_films")
        assert set(states(ended).values()) == {"success"}
        assert "where run_id = 'jr_1'" in athena.queries[-1]
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

    def test_too_many_bad_lines_fail_the_run_after_all_its_work(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        land(lake_services)
        glue = FakeGlue(aws_calls, lake_services, {**REPORT, "too_many_bad": "200 of 300 lines are bad: 200 not JSON"})
        committed(aws_calls)
        ended = run(dagbag, "enrich_streaming_films")
        assert ended.state == "failed"
        assert [task for task, state in states(ended).items() if state != "success"] == ["judge_lines"]
        assert announced(ended) == ["2026-11"]
        assert len(glue.runs) == 1
        assert note(ended) == (
            f"{run_reports.summary(REPORT)}\n\nToo many bad lines: 200 of 300 lines are bad: 200 not JSON. "
            "They are in curated.streaming_events_quarantine"
        )

    def test_bad_lines_outside_every_month_are_judged_too(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        """reconcile_lines is then skipped, as no month was changed."""
        land(lake_services)
        FakeGlue(aws_calls, lake_services, {**REPORT, "months": [], "too_many_bad": "200 of 300 lines are bad"})
        committed(aws_calls)
        ended = states(run(dagbag, "enrich_streaming_films"))
        assert (ended["reconcile_lines"], ended["judge_lines"]) == ("skipped", "failed")

    def test_any_other_failure_is_tried_again(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        land(lake_services)
        glue = FakeGlue(aws_calls, lake_services, REPORT)
        glue.state, glue.message = "FAILED", "An executor was lost"
        told: list[str] = []

        def publish(request: dict[str, Any]) -> dict[str, Any]:
            told.append(request["Message"])
            return {"MessageId": "1"}

        aws_calls["sns.Publish"] = publish
        ended = run(dagbag, "enrich_streaming_films")
        assert states(ended)["run_job"] == "failed"
        assert note(ended) == f"Run jr_3 of {LAKE.streaming_films_job}: FAILED: An executor was lost"
        assert len(glue.runs) == 1 + DEFAULT_ARGS["retries"]
        assert len(told) == 1, "people hear of a task that has given up, not of its tries, nor of the tasks after it"
        assert "Task: run_job, try 3" in told[0]
        assert "An executor was lost" in told[0]


class TestRebuild:
    def test_the_month_of_the_parameter_is_rebuilt(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        glue = FakeGlue(aws_calls, lake_services, {**REPORT, "mode": "rebuild", "months": ["2026-10"]})
        committed(aws_calls)
        ended = run(dagbag, "rebuild_streaming_films", month="2026-10")
        assert set(states(ended).values()) == {"success"}
        assert own_arguments(glue.runs[0]) == {"--mode": "rebuild", "--month": "2026-10"}
        assert str(note(ended)).startswith("month: 2026-10\n\nlanded 10 = ")

    def test_a_month_in_which_nothing_has_landed_is_said_so(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        nothing: Any = dict.fromkeys(run_reports.COUNTS, 0)
        FakeGlue(aws_calls, lake_services, {**REPORT, **nothing, "mode": "rebuild", "months": []})
        committed(aws_calls, **nothing)
        ended = run(dagbag, "rebuild_streaming_films", month="2026-10")
        assert ended.state == "success"
        said = "month: 2026-10\n\nNothing has landed in the month: there was nothing to rebuild"
        assert note(ended) == said

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
        titles: list[list[str | None]] = [["title", "streams"], ["ZORRO ARK", "1204"], [None, "3"]]
        athena = FakeAthena(aws_calls, lambda sql: titles if "rentals" in sql else [])
        s3 = lake_services.client("s3")
        for number in range(3):
            s3.put_object(Bucket=LAKE.results_bucket, Key=f"athena/{number}.csv", Body=f"result {number}".encode())
        ended = run(dagbag, "report_film_popularity", month="2026-11")
        assert ended.state == "success"
        file = f"s3://{LAKE.results_bucket}/reports/2026/11/film_popularity.csv"
        told = f"2026-11: 2 titles, on top ZORRO ARK with 1,204 streams; {file}"
        assert note(ended) == f"month: 2026-11\n\n{told}"
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
