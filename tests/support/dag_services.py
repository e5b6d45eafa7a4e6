"""For tests of the DAGs: the lake's buckets, queue and catalog in the real emulator, and AWS's API calls to be faked.

Faked are the services that the emulator does not really do: Athena and Glue jobs.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.client import AioBaseClient
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.module_loading import import_string
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from lake_airflow.defaults import LAKE
from local.settings import ROOT_ACCESS_KEY
from tests.support.aws_services import Emulator

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.triggers.base import BaseTrigger, TriggerEvent


@pytest.fixture
def lake_services(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """Empty buckets, queue and catalog databases of the lake; Airflow's AWS connection leads to them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.settings.emulator_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ROOT_ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ROOT_ACCESS_KEY)
    s3, sqs, glue = (emulator.client(service) for service in ("s3", "sqs", "glue"))
    buckets = (LAKE.artifacts_bucket, LAKE.landing_bucket, LAKE.clean_bucket, LAKE.curated_bucket, LAKE.results_bucket)
    for bucket in buckets:
        s3.create_bucket(Bucket=bucket)
    queue = sqs.create_queue(QueueName=LAKE.csv_queue)["QueueUrl"]
    for database in ("landing", "curated"):
        glue.create_database(DatabaseInput={"Name": database})
    yield emulator
    for database in ("landing", "curated"):
        glue.delete_database(Name=database)
    sqs.delete_queue(QueueUrl=queue)
    for bucket in buckets:
        for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=entry["Key"])
        s3.delete_bucket(Bucket=bucket)


Handler = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def aws_calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Handler]:
    """Answers to API calls by ``service.Operation``; a test adds those it needs. All other calls go to the emulator."""
    handlers: dict[str, Handler] = {}
    # their stubs leave it out
    real = BaseClient._make_api_call  # type: ignore[attr-defined]
    real_async = AioBaseClient._make_api_call

    def handler_of(client: Any, operation: str) -> Handler | None:
        return handlers.get(f"{client.meta.service_model.service_name}.{operation}")

    def answer(client: Any, operation: str, request: dict[str, Any], handler: Handler) -> Any:
        try:
            return handler(request)
        except ClientError as error:  # as the service's own exception class, which callers may catch
            raise client.exceptions.from_code(error.response["Error"]["Code"])(error.response, operation) from None

    def call(client: Any, operation: str, request: dict[str, Any]) -> Any:
        handler = handler_of(client, operation)
        return answer(client, operation, request, handler) if handler else real(client, operation, request)

    async def async_call(client: Any, operation: str, request: dict[str, Any]) -> Any:
        handler = handler_of(client, operation)
        return answer(client, operation, request, handler) if handler else await real_async(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    monkeypatch.setattr(AioBaseClient, "_make_api_call", async_call)  # of the triggerer
    return handlers


def a_try(began: datetime | None = None, **more: Any) -> dict[str, Any]:
    """The context of a task's try that began then, or now."""
    ti = SimpleNamespace(start_date=began or datetime.now(UTC))
    return {"ti": ti, "task": SimpleNamespace(execution_timeout=timedelta(hours=1)), **more}


def run_task(operator: BaseOperator, context: Any) -> Any:
    """Run a task to its end as Airflow does: each time it defers, its trigger is made anew, and later the task."""
    step: Callable[..., Any] = copy.copy(operator).execute
    arguments: dict[str, Any] = {}
    while True:
        try:
            return step(context, **arguments)
        except TaskDeferred as deferred:
            classpath, stored = deferred.trigger.serialize()
            event = asyncio.run(_first_event(import_string(classpath)(**stored)))
            step = getattr(copy.copy(operator), deferred.method_name)
            arguments = {**(deferred.kwargs or {}), "event": event.payload}


async def _first_event(trigger: BaseTrigger) -> TriggerEvent:
    return await anext(aiter(trigger.run()))


def client_error(code: str, operation: str) -> ClientError:
    """AWS's refusal of a call."""
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


class FakeAthena:
    """Athena's API over a function that answers SQL with rows, the first of which holds the column names.

    As on Athena a query runs once, when it is started, and its pages are cut from the rows that this gave; so they
    agree, whatever the order of the rows. ``queries`` are the statements in the order of their start.
    """

    PAGE_ROWS = 2

    def __init__(
        self,
        aws_calls: dict[str, Handler],
        answer: Callable[[str], list[list[str | None]]],
        state: str = "SUCCEEDED",
        reason: str = "",
    ) -> None:
        self.answer, self.state, self.reason = answer, state, reason
        self.queries: list[str] = []
        self._rows: list[list[list[str | None]]] = []
        aws_calls["athena.StartQueryExecution"] = self._start
        aws_calls["athena.GetQueryExecution"] = self._get
        aws_calls["athena.GetQueryResults"] = self._results

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["WorkGroup"] == LAKE.workgroup
        self.queries.append(request["QueryString"])
        self._rows.append(self.answer(request["QueryString"]) if self.state == "SUCCEEDED" else [])
        return {"QueryExecutionId": str(len(self.queries) - 1)}

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        status = {"State": self.state, "StateChangeReason": self.reason}
        return {"QueryExecution": {"Status": status, "QueryExecutionId": request["QueryExecutionId"]}}

    def _results(self, request: dict[str, Any]) -> dict[str, Any]:
        rows = self._rows[int(request["QueryExecutionId"])]
        first = int(request.get("NextToken", 0))
        end = first + self.PAGE_ROWS
        cells = [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in rows]
        return {"ResultSet": {"Rows": cells[first:end]}, **({"NextToken": str(end)} if end < len(rows) else {})}
