"""The note of a DAG run, as the plugin writes it when the run has ended."""

from __future__ import annotations

from datetime import UTC, datetime
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

from tests.dags.runs import REPORT, FakeGlue, committed, land, note, run, states
from tests.support.aws_services import Emulator
from tests.support.dag_services import Handler

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("airflow_db", "lake_services", "no_waiting")]


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
            run_note_plugin.RunNote().on_dag_run_running(session.scalars(select(DagRun).where(of_run)).one())
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

    def test_a_cleared_task_that_is_skipped_says_nothing(self, ended: DagRun) -> None:
        """A task that is skipped by another one starts and ends at that moment, and has told nothing."""
        with create_session() as session:
            of_task = (TaskInstance.run_id == ended.run_id, TaskInstance.task_id == "reconcile_lines")
            session.execute(update(TaskInstance).where(*of_task).values(start_date=datetime.now(UTC)))
        self.listen(ended, reconcile_lines="skipped")
        assert note(ended) is None

    def test_what_was_asked_for_is_there_as_soon_as_the_run_starts(self, ended: DagRun) -> None:
        for given, expected in (
            ({"conf": {"month": "2026-10", "reason": None}}, "month: 2026-10"),
            ({"partition_key": "2026-09", "conf": {}}, "partition: 2026-09"),
        ):
            with create_session() as session:
                session.execute(update(DagRun).where(DagRun.id == ended.id).values(**given))
                session.execute(delete(XComModel).where(XComModel.run_id == ended.run_id))
            self.listen(ended)
            assert note(ended) == expected

    def test_a_note_that_cannot_be_written_leaves_the_scheduler_at_work(
        self, ended: DagRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = note(ended)

        def broken(connection: Any, _: DagRun) -> None:
            connection.execute(delete(DagRunNote))
            connection.execute(text("SELECT * FROM no_such_table"))

        monkeypatch.setattr(run_note_plugin, "_write", broken)
        self.listen(ended, run_job="removed")
        assert note(ended) == before
        assert states(ended)["run_job"] == "removed", "the transaction went on"
