"""Writes a DAG run's note: what was asked for when the run starts, and what its tasks told when it has ended.

The texts are those of ``lake_airflow.notes``.

It is a listener because a task cannot write its run's note, and a listener needs no credentials: docs/decisions/0010.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.models.dagrun import DagRunNote
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.plugins_manager import AirflowPlugin
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import object_session

from lake_airflow.notes import NOTE_KEY, asked_for, compose

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

AUTHOR = "lake"  # of our notes; a note that a person has written is not changed

log = logging.getLogger(__name__)


class RunNote:
    """Airflow calls it in the scheduler, within the transaction that starts or ends the run."""

    @hookimpl
    def on_dag_run_running(self, dag_run: DagRun) -> None:
        """Write, replace or remove our note of the run. Errors are only logged, as a note must not fail a run."""
        try:
            with _session(dag_run) as session:
                connection = session.connection()
                # Airflow forbids savepoints of the session here. One of the connection undoes only our statements.
                with connection.begin_nested():
                    _write(connection, dag_run)
        except Exception:
            log.exception("The note of %s %s could not be written", dag_run.dag_id, dag_run.run_id)

    on_dag_run_success = on_dag_run_failed = on_dag_run_running


def _session(dag_run: DagRun) -> AbstractContextManager[Session]:
    """The scheduler's own session, as it has locked the run's row, for which any other session would wait for ever."""
    session = object_session(dag_run)
    return nullcontext(session) if session else create_session()


def _write(connection: Connection, dag_run: DagRun) -> None:
    # Only of tasks that have ended in the try that told it: a cleared task's XCom is kept until the task runs again.
    ended = (TaskInstanceState.SUCCESS, TaskInstanceState.FAILED, TaskInstanceState.SKIPPED)
    given = connection.execute(
        select(XComModel.value)
        .join(
            TaskInstance,
            (TaskInstance.dag_id == XComModel.dag_id)
            & (TaskInstance.run_id == XComModel.run_id)
            & (TaskInstance.task_id == XComModel.task_id)
            & (TaskInstance.map_index == XComModel.map_index),
        )
        .where(XComModel.dag_run_id == dag_run.id, XComModel.key == NOTE_KEY)
        .where(TaskInstance.state.in_(ended), XComModel.timestamp >= TaskInstance.start_date)
        .order_by(XComModel.timestamp)
    ).all()
    asked = asked_for(dag_run.partition_key, dag_run.conf)
    note = compose([asked, *(str(XComModel.deserialize_value(row)) for row in given)])
    of_run = DagRunNote.dag_run_id == dag_run.id
    author = connection.execute(select(DagRunNote.user_id).where(of_run)).one_or_none()
    now = datetime.now(UTC)
    if author is None:
        if note:
            written = {"content": note, "user_id": AUTHOR, "created_at": now, "updated_at": now}
            connection.execute(insert(DagRunNote).values(dag_run_id=dag_run.id, **written))
    elif author.user_id == AUTHOR:
        connection.execute(
            update(DagRunNote).where(of_run).values(content=note, updated_at=now)
            if note
            else delete(DagRunNote).where(of_run)
        )


class RunNotePlugin(AirflowPlugin):
    """Registers the listener."""

    name = "run_note"
    listeners = [RunNote()]  # noqa: RUF012  as Airflow declares it
