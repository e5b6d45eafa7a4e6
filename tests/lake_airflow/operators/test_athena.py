from __future__ import annotations

from typing import Any

import jinja2
import pytest

from datalake.tables import SAKILA
from lake_airflow.defaults import LAKE, SQL_PATH
from lake_airflow.operators.athena import SqlFileOperator


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
