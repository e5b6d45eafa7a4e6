from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException

from lake_airflow.operators.dms import DmsFullLoadOperator, loaded_rows
from tests.support.dag_services import Handler, a_try, run_task

if TYPE_CHECKING:
    from mypy_boto3_dms.type_defs import TableStatisticsTypeDef

RUN_STARTED = datetime(2026, 11, 23, 5, 0, 0, 500_000, tzinfo=UTC)
ARN = "arn:aws:dms:us-east-1:123456789012:task:ABC"


class Dms:
    """A task that shows the given states one after the other, the last of them for good.

    Starting it turns to the states of ``after_start``.
    """

    def __init__(self, aws_calls: dict[str, Handler], states: list[Any], after_start: list[Any] | None = None) -> None:
        self.states: Iterator[Any] = iter(states)
        self.state = states[0]
        self.after_start = after_start or []
        self.started: list[str] = []
        self.statistics = [statistics("film", 1000)]
        aws_calls["dms.DescribeReplicationTasks"] = self._describe
        aws_calls["dms.StartReplicationTask"] = self._start
        aws_calls["dms.DescribeTableStatistics"] = lambda _: {"TableStatistics": self.statistics}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["Filters"] == [{"Name": "replication-task-id", "Values": ["the-task"]}]
        self.state = status, fresh_start = next(self.states, self.state)
        stats = {"FreshStartDate": fresh_start} if fresh_start else {}
        return {"ReplicationTasks": [{"ReplicationTaskArn": ARN, "Status": status, "ReplicationTaskStats": stats}]}

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["ReplicationTaskArn"] == ARN
        self.started.append(request["StartReplicationTaskType"])
        self.states = iter(self.after_start)
        return {}


def statistics(table: str, rows: int, state: str = "Table completed", errors: int = 0) -> TableStatisticsTypeDef:
    return {"TableName": table, "FullLoadRows": rows, "TableState": state, "FullLoadErrorRows": errors}


def load(run_started: datetime | None = RUN_STARTED) -> dict[str, Any]:
    operator = DmsFullLoadOperator(task_id="load", replication_task_id="the-task", poll_interval=0)
    found: dict[str, Any] = run_task(operator, a_try(dag_run=SimpleNamespace(start_date=run_started)))
    return found


BEFORE = RUN_STARTED - timedelta(hours=1)
SINCE = RUN_STARTED + timedelta(seconds=2)


def test_the_first_load_is_a_start(aws_calls: dict[str, Handler]) -> None:
    dms = Dms(aws_calls, [("ready", None)], [("starting", None), ("running", SINCE), ("stopped", SINCE)])
    assert load() == {"started": "2026-11-23T05:00:02.500000+00:00", "rows": {"film": 1000}}
    assert dms.started == ["start-replication"]


@pytest.mark.parametrize("ended", ["stopped", "failed"])
def test_any_other_load_is_a_reload(aws_calls: dict[str, Handler], ended: str) -> None:
    dms = Dms(aws_calls, [(ended, BEFORE)], [("running", SINCE), ("stopped", SINCE)])
    load()
    assert dms.started == ["reload-target"]


def test_yesterdays_end_is_no_end(aws_calls: dict[str, Handler]) -> None:
    """AWS may show the load before for a moment after a start."""
    Dms(
        aws_calls,
        [("stopped", BEFORE)],
        [("stopped", BEFORE), ("stopped", BEFORE), ("running", SINCE), ("stopped", SINCE)],
    )
    assert load()["started"] == SINCE.isoformat()


def test_a_retry_joins_the_load_in_flight(aws_calls: dict[str, Handler]) -> None:
    dms = Dms(aws_calls, [("running", SINCE), ("running", SINCE), ("stopped", SINCE)])
    assert load()["rows"] == {"film": 1000}
    assert dms.started == []


def test_a_load_in_flight_from_before_this_run_is_waited_for_and_not_trusted(aws_calls: dict[str, Handler]) -> None:
    dms = Dms(aws_calls, [("running", BEFORE), ("running", BEFORE), ("stopped", BEFORE)], [("stopped", SINCE)])
    assert load()["started"] == SINCE.isoformat()
    assert dms.started == ["reload-target"]


def test_a_start_in_the_runs_own_second_is_fresh(aws_calls: dict[str, Handler]) -> None:
    whole_second = RUN_STARTED.replace(microsecond=0)
    Dms(aws_calls, [("ready", None)], [("stopped", whole_second)])
    assert load()["started"] == whole_second.isoformat()


def test_a_failed_load_names_the_tables_that_it_left(aws_calls: dict[str, Handler]) -> None:
    dms = Dms(aws_calls, [("ready", None)], [("failed", SINCE)])
    dms.statistics += [statistics("payment", 400, "Table error"), statistics("rental", 0, "Before load")]
    with pytest.raises(
        AirflowException, match=r"the-task failed.*: payment: Table error.*; rental: Before load"
    ) as error:
        load()
    assert "film" not in str(error.value)


def test_the_end_of_this_runs_failed_try_is_not_the_end_of_the_next(aws_calls: dict[str, Handler]) -> None:
    again = SINCE + timedelta(seconds=40)
    dms = Dms(aws_calls, [("failed", SINCE)], [("failed", SINCE), ("running", again), ("stopped", again)])
    assert load()["started"] == again.isoformat()
    assert dms.started == ["reload-target"]


def test_a_task_that_does_not_exist_is_named(aws_calls: dict[str, Handler]) -> None:
    aws_calls["dms.DescribeReplicationTasks"] = lambda _: {"ReplicationTasks": []}
    with pytest.raises(AirflowException, match="the-task: 0 of that identifier"):
        load()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (statistics("film", 400, "Table error"), "film: Table error"),
        (statistics("film", 999, errors=1), "film: Table completed, 1 rows in error"),
        (statistics("film", 0, "Before load"), "film: Before load"),
    ],
)
def test_a_task_that_stopped_without_all_rows_is_an_error(table: TableStatisticsTypeDef, message: str) -> None:
    with pytest.raises(AirflowException, match=message) as error:
        loaded_rows([statistics("actor", 200), table])
    assert "actor" not in str(error.value)


def test_no_statistics_are_an_error() -> None:
    with pytest.raises(AirflowException, match="no table at all"):
        loaded_rows([])
