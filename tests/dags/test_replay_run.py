"""Runs of replay_quarantine by ``dag.test``: what is published, rebuilt, refused and noted."""

from __future__ import annotations

import json

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun

from lake_airflow import run_reports
from lake_airflow.defaults import LAKE
from tests.dags.runs import LANDED, REPORT, FakeGlue, note, own_arguments, run, states
from tests.support.aws_services import Emulator
from tests.support.dag_services import FakeAthena, Handler

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("airflow_db", "lake_services", "no_waiting")]


class TestReplay:
    UPLOAD = "repairs/2026-11/mended.json"

    def replay(
        self,
        dagbag: DagBag,
        aws_calls: dict[str, Handler],
        emulator: Emulator,
        *uploads: bytes,
        reason: str = "all",
        too_many_bad: str | None = None,
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
        glue = FakeGlue(aws_calls, emulator, {**REPORT, "mode": "rebuild", "too_many_bad": too_many_bad})
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
        repaired = "repaired: not JSON 1; left in quarantine: too late 1"
        assert note(ended) == f"month: 2026-11, reason: all\n\n{run_reports.summary(REPORT)}\n\n{repaired}"

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

    def test_what_is_left_is_noted_though_too_many_lines_of_the_month_are_still_bad(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator
    ) -> None:
        ended, _ = self.replay(dagbag, aws_calls, lake_services, self.mended(1), too_many_bad="200 of 300 lines")
        assert [task for task, state in states(ended).items() if state != "success"] == ["judge_lines"]
        assert "repaired: not JSON 1; left in quarantine: too late 1" in str(note(ended))

    @pytest.mark.parametrize("uploads", [(), (b"{broken",)])
    def test_nothing_good_starts_no_job(
        self, dagbag: DagBag, aws_calls: dict[str, Handler], lake_services: Emulator, uploads: tuple[bytes, ...]
    ) -> None:
        ended, glue = self.replay(dagbag, aws_calls, lake_services, *uploads)
        assert states(ended)["publish_repairs"] == "failed"
        assert glue.runs == []
