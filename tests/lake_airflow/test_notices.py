from __future__ import annotations

import asyncio
import json
import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
import structlog
from airflow.callbacks.callback_requests import DagCallbackRequest, TaskCallbackRequest
from airflow.dag_processing import processor
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert
from airflow.utils.state import TaskInstanceState

from lake_airflow import notices
from lake_airflow.athena import ATHENA
from lake_airflow.defaults import DEFAULT_ARGS
from tests.dags.conftest import DAGS
from tests.support.dag_services import Handler, client_error

TOPIC = "arn:aws:sns:us-east-1:123456789012:sakila-streams-test-alarms"


RUN: dict[str, Any] = {
    "dag_id": "rebuild_streaming_films",
    "run_id": "backfill__1",
    **dict.fromkeys(("logical_date", "data_interval_start", "data_interval_end", "start_date", "end_date")),
    "run_after": "2026-11-02T02:00:00Z",
    "run_type": "manual",
    "state": "running",
    "consumed_asset_events": [],
    "partition_key": "2026-10",
}
TI = {
    "id": str(uuid.uuid4()),
    "task_id": "reconcile_lines",
    "dag_id": "rebuild_streaming_films",
    "run_id": "backfill__1",
    "try_number": 3,
    "dag_version_id": str(uuid.uuid4()),
}
REQUEST = {  # the scheduler's to the DAG processor
    "filepath": "rebuild_streaming_films.py",
    "bundle_name": "dags",
    "bundle_version": None,
    "msg": "why",
    "context_from_server": {
        "dag_run": RUN,
        "max_tries": 2,
        "variables": [],
        "connections": [],
        "xcom_keys_to_clear": [],
    },
}


@pytest.fixture
def published(aws_calls: dict[str, Handler]) -> list[dict[str, Any]]:
    """What is published, in order, in an account of AWS; the provider sends a message as JSON, for every protocol."""
    kept: list[dict[str, Any]] = []

    def publish(request: dict[str, Any]) -> dict[str, Any]:
        assert request.pop("MessageStructure") == "json"
        kept.append({**request, "Message": json.loads(request["Message"])["default"]})
        return {"MessageId": "1"}

    aws_calls["sts.GetCallerIdentity"] = lambda _: {"Account": "123456789012"}
    aws_calls["sns.Publish"] = publish
    return kept


def context(reason: object, **of_run: Any) -> Any:
    """What Airflow gives a callback of a task."""
    ti = SimpleNamespace(
        dag_id="a_dag",
        run_id="manual__1",
        task_id="reconcile_lines",
        try_number=3,
        log_url="http://127.0.0.1/log",
        xcom_push=lambda **_: None,
    )
    run = SimpleNamespace(**{"partition_key": None, **of_run})
    return {"ti": ti, "dag_run": run, "params": {}, "exception": reason}


def test_a_notice_names_dag_run_month_task_reason_and_what_to_do(published: list[dict[str, Any]]) -> None:
    notices.tell_failure(context(RuntimeError("landed 3 {{ not a template }}"), partition_key="2026-10"))
    assert published == [
        {
            "TargetArn": TOPIC,
            "Subject": "sakila-streams-test: a_dag has failed in reconcile_lines",
            "Message": "DAG: a_dag\nRun: manual__1\nMonth: 2026-10\nTask: reconcile_lines, try 3\n"
            f"Reason: landed 3 {{{{ not a template }}}}\n{notices.MANUAL}\nLog: http://127.0.0.1/log",
        }
    ]


def test_the_month_of_the_parameter_is_named(published: list[dict[str, Any]]) -> None:
    notices.tell_failure({**context("no"), "params": {"month": "2026-09"}})
    assert "\nMonth: 2026-09\n" in published[0]["Message"]


def test_a_long_reason_and_a_long_name_are_cut(published: list[dict[str, Any]]) -> None:
    """SNS takes subjects of fewer than 100 characters and messages of 256 KiB (API Reference, Publish)."""
    given = context("x" * 300_000)
    given["ti"].dag_id = "d" * 200
    notices.tell_failure(given)
    assert len(published[0]["Subject"]) < 100
    assert len(published[0]["Message"].encode()) < 256 * 1024


def test_a_topic_that_cannot_be_reached_is_an_error_that_airflow_logs(
    aws_calls: dict[str, Handler], published: list[dict[str, Any]]
) -> None:
    def denied(_: dict[str, Any]) -> dict[str, Any]:
        raise client_error("AuthorizationError", "Publish")

    aws_calls["sns.Publish"] = denied
    with pytest.raises(Exception, match="AuthorizationError"):
        notices.tell_failure(context("no"))


def test_every_task_tells(dagbag: DagBag) -> None:
    assert DEFAULT_ARGS["on_failure_callback"] is notices.tell_failure
    assert notices.tell_failure in ATHENA["on_failure_callback"]
    silent = [
        f"{dag.dag_id}.{task.task_id}"
        for dag in dagbag.dags.values()
        for task in dag.tasks
        if notices.tell_failure not in cast("list[object]", task.on_failure_callback) or task.on_retry_callback
    ]
    assert silent == []
    assert all(dag.on_failure_callback is notices.tell_killed for dag in dagbag.dags.values())


@pytest.mark.parametrize("state", [TaskInstanceState.FAILED, TaskInstanceState.UP_FOR_RETRY])
def test_a_task_without_a_heartbeat_is_left_to_its_run(
    dagbag: DagBag, published: list[dict[str, Any]], state: TaskInstanceState
) -> None:
    """The DAG processor, which calls the callback then, cannot keep that it has told."""
    asked = TaskCallbackRequest.model_validate({**REQUEST, "ti": TI, "task_callback_type": state})
    processor._execute_task_callbacks(dagbag, asked, structlog.get_logger())
    assert published == []


@pytest.mark.parametrize(("has_told", "notices_of_run"), [(None, 1), (True, 0)])
def test_a_failed_run_tells_of_a_task_that_could_not(
    dagbag: DagBag,
    published: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    has_told: bool | None,
    notices_of_run: int,
) -> None:
    """A process killed with SIGKILL calls no callback."""
    monkeypatch.setattr(RuntimeTaskInstance, "xcom_pull", lambda *_, **__: has_told)
    of_run = {"run_id": TI["run_id"], "dag_id": TI["dag_id"], "is_failure_callback": True}
    server = {"dag_run": RUN, "last_ti": TI}
    asked = DagCallbackRequest.model_validate({**REQUEST, **of_run, "context_from_server": server})
    processor._execute_dag_callbacks(dagbag, asked, structlog.get_logger())
    assert len(published) == notices_of_run
    for message in published:
        assert f"Month: 2026-10\nTask: reconcile_lines, try 3\nReason: {notices.KILLED}" in message["Message"]


@pytest.fixture
def dagbag() -> DagBag:
    return DagBag(DAGS, bundle_path=DAGS)


class TestLate:
    RUN: ClassVar[dict[str, Any]] = {
        "dag_id": "a_dag",
        "dag_run_id": "scheduled__1",
        "state": "running",
        "partition_key": None,
    }

    @pytest.fixture
    def told(self, published: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> list[SnsNotifier]:
        """The notifiers that would have published from the triggerer."""
        kept: list[SnsNotifier] = []

        async def keep(notifier: SnsNotifier, _: Any) -> None:
            kept.append(notifier)

        monkeypatch.setattr(SnsNotifier, "async_notify", keep)
        return kept

    def test_a_run_that_is_still_going_is_told_of(self, told: list[SnsNotifier]) -> None:
        asyncio.run(notices.tell_late({"dag_run": {**self.RUN, "partition_key": "2026-10"}}))
        (notice,) = told
        assert (notice.target_arn, notice.subject) == (TOPIC, "sakila-streams-test: a_dag is late")
        assert notice.message == (
            "DAG: a_dag\nRun: scheduled__1\nMonth: 2026-10\n"
            "Reason: it is still running, two hours after it was queued. What it writes is not fresh\n"
            f"{notices.MANUAL}"
        )

    def test_a_run_that_has_failed_was_told_of_by_its_task(self, told: list[SnsNotifier]) -> None:
        asyncio.run(notices.tell_late({"dag_run": {**self.RUN, "state": "failed"}}))
        assert told == []

    def test_the_deadline_is_read_in_both_ways_of_airflow(self) -> None:
        """When a run is made, and when it is cleared (``_recalculate_dagrun_queued_at_deadlines``)."""
        stored = encode_deadline_alert(notices.FRESHNESS)
        assert decode_deadline_alert(stored).interval == timedelta(hours=2)
        assert timedelta(seconds=stored["interval"]) == timedelta(hours=2)

    def test_the_hourly_dag_and_the_replication_have_a_deadline(self, dagbag: DagBag) -> None:
        watched = {dag_id for dag_id, dag in dagbag.dags.items() if dag.deadline}
        assert watched == {"enrich_streaming_films", "replicate_sakila"}
