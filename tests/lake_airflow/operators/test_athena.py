from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from datalake.tables import SAKILA
from lake_airflow.defaults import LAKE, SQL_PATH
from lake_airflow.operators.athena import SqlFileOperator
from tests.support.dag_services import FakeAthena, Handler, run_task


def rendered(query: str, values: dict[str, Any], context: dict[str, Any]) -> str:
    """The statement that Athena would get, with files found as a DAG finds them."""
    operator = SqlFileOperator(task_id="ask", query=query, values=values)
    loader = jinja2.FileSystemLoader(SQL_PATH)
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)  # noqa: S701 - SQL, not HTML
    operator.render_template_fields(context, environment)  # type: ignore[arg-type]
    assert operator.workgroup == LAKE.workgroup
    return operator.query


def test_values_are_rendered_before_the_statement() -> None:
    values = {"job_run_id": "{{ outputs['run_job'] }}"}
    sql = rendered("tasks/reconciliation_of_run.sql", values, {"outputs": {"run_job": "jr_7"}})
    assert sql.rstrip().endswith("where run_id = 'jr_7'")


def test_a_value_may_be_a_list() -> None:
    sql = rendered("tasks/sakila_row_counts.sql", {"tables": list(SAKILA)}, {})
    assert [sql.count(f"from sakila.{table}\n") for table in SAKILA] == [1] * len(SAKILA)


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="job_run_id"):
        rendered("tasks/reconciliation_of_run.sql", {}, {})


def ask(operator: SqlFileOperator) -> Any:
    return run_task(operator, {"ti": SimpleNamespace(xcom_push=lambda **_: None)})


@pytest.fixture(params=["quick", "slow"])
def slow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the query takes longer than a task waits for it in its worker."""
    is_slow: bool = request.param == "slow"
    if is_slow:
        monkeypatch.setattr(AthenaHook, "poll_query_status", lambda *_, **__: "RUNNING")
    return is_slow


def test_a_query_gives_its_id(aws_calls: dict[str, Handler], slow: bool) -> None:
    athena = FakeAthena(aws_calls, lambda _: [])
    assert ask(SqlFileOperator(task_id="ask", query="select 1", sleep_time=0)) == "0"
    assert athena.queries == ["select 1"]


def test_only_a_slow_query_is_deferred(aws_calls: dict[str, Handler], slow: bool) -> None:
    FakeAthena(aws_calls, lambda _: [])
    operator = SqlFileOperator(task_id="ask", query="select 1")
    with pytest.raises(TaskDeferred) if slow else nullcontext():
        operator.execute({"ti": SimpleNamespace(xcom_push=lambda **_: None)})  # type: ignore[typeddict-item]


def test_a_query_that_fails_says_why(aws_calls: dict[str, Handler], slow: bool) -> None:
    FakeAthena(aws_calls, lambda _: [], state="CANCELLED", reason="Bytes scanned limit was exceeded")
    with pytest.raises(AirflowException, match="Query 0 ended CANCELLED: Bytes scanned limit was exceeded"):
        ask(SqlFileOperator(task_id="ask", query="select 1", sleep_time=0))


def test_a_failed_query_that_was_deferred_is_known_to_the_callback(aws_calls: dict[str, Handler]) -> None:
    """Airflow resumes it with a new operator, which has not started the query itself."""
    FakeAthena(aws_calls, lambda _: [], state="FAILED", reason="GENERIC_INTERNAL_ERROR")
    operator = SqlFileOperator(task_id="ask", query="select 1")
    with pytest.raises(AirflowException, match="Query 7 ended FAILED: GENERIC_INTERNAL_ERROR"):
        operator.execute_complete({}, {"status": "error", "message": "the waiter's own", "value": "7"})
    assert operator.query_execution_id == "7"
