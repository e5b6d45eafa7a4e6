"""Where the lake's AWS is not AWS's own, as on one machine, links of tasks lead to pages of ours, not to its console.

A link of the plugin takes the place of the provider's link of the same name. On AWS the plugin has no link and no page.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PREFIX = "/lake"


def has_no_console() -> bool:
    """Whether AWS's API is that of somebody else, by the endpoint that every SDK obeys; then no console shows it."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_ATHENA") or os.environ.get("AWS_ENDPOINT_URL") or ""
    host = urlsplit(endpoint).hostname or ""
    return bool(host) and not host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


class _Pages:
    """The application of ``lake_airflow.pages``, imported at its first call: every part of Airflow loads this file."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from lake_airflow.pages import app  # noqa: PLC0415

        await app(scope, receive, send)


def _given(key: str, ti_key: Any) -> dict[str, str]:
    """What a task has noted for a link of the provider; empty before it has, and for an earlier try."""
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
    from airflow.models.xcom import XComModel  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import and_, select  # noqa: PLC0415

    of_task = ("dag_id", "run_id", "task_id", "map_index")
    asked = select(XComModel).join(
        TaskInstance, and_(*(getattr(TaskInstance, name) == getattr(XComModel, name) for name in of_task))
    )
    asked = asked.where(*(getattr(TaskInstance, name) == getattr(ti_key, name) for name in (*of_task, "try_number")))
    with create_session() as session:
        row = session.scalar(asked.where(XComModel.key == key))
        given: dict[str, str] = XComModel.deserialize_value(row) if row else {}
        return given


class QueryLink(BaseOperatorLink):
    """From a task to the result of its query in Athena."""

    name = "Query Results"

    @property
    def operators(self) -> list[Any]:  # type: ignore[override]
        """The operators whose link it replaces; imported only when somebody asks."""
        from lake_airflow.operators.athena import SqlFileOperator  # noqa: PLC0415

        return [SqlFileOperator]

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """The page of the query; empty when the task has started none."""
        given = _given("_athena_query_results", ti_key)
        return f"{PREFIX}/query/{given['query_execution_id']}" if given else ""


class JobRunLink(BaseOperatorLink):
    """From a task to the log of its run of a Glue job."""

    name = "AWS Glue Job Run Details"

    @property
    def operators(self) -> list[Any]:  # type: ignore[override]
        """The operators whose link it replaces; imported only when somebody asks."""
        from lake_airflow.operators.glue import GlueJobRunOperator  # noqa: PLC0415

        return [GlueJobRunOperator]

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """The page of the run; empty when the task has started none."""
        given = _given("glue_job_run_details", ti_key)
        return f"{PREFIX}/job/{given['job_name']}/{given['job_run_id']}" if given else ""


class PagesPlugin(AirflowPlugin):
    """Registers the pages and the links, if there is no console."""

    name = "pages"
    fastapi_apps = [{"app": _Pages(), "url_prefix": PREFIX, "name": "Lake"}] if has_no_console() else []
    operator_extra_links = [QueryLink(), JobRunLink()] if has_no_console() else []
