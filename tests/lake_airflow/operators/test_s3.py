from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from lake_airflow.defaults import LAKE
from lake_airflow.operators.s3 import CsvConvertedSensor
from lake_airflow.triggers.s3 import CsvConvertedTrigger
from tests.lake_airflow.test_replication import LONG_AGO, put_csv, put_parquet
from tests.support.aws_services import Emulator
from tests.support.dag_services import a_try, run_task

pytestmark = pytest.mark.services


def wait(timeout: float = 60, waited: float = 0, **options: Any) -> None:
    """Let the sensor wait in a task that began ``waited`` seconds ago."""
    sensor = CsvConvertedSensor(task_id="wait", started=LONG_AGO, poke_interval=0.1, timeout=timeout, **options)
    run_task(sensor, a_try(datetime.now(UTC) - timedelta(seconds=waited)))


def messages(emulator: Emulator) -> list[str]:
    """Keys in the notifications that wait in the queue."""
    sqs = emulator.client("sqs")
    url = sqs.get_queue_url(QueueName=LAKE.csv_queue)["QueueUrl"]
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"])["Records"][0]["s3"]["object"]["key"] for message in received]


def test_it_ends_at_once_when_every_csv_is_converted(lake_services: Emulator) -> None:
    etag = put_csv(lake_services, "film/LOAD00000001.csv")
    put_parquet(lake_services, "film/LOAD00000001.parquet", etag)
    wait()
    assert messages(lake_services) == []


@pytest.fixture
def second_question(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens just before the triggerer asks for the second time."""
    happens: list[Callable[[], object]] = []
    asked: list[dict[str, str]] = []
    real = CsvConvertedTrigger.ask

    def ask(trigger: CsvConvertedTrigger, **question: str) -> str | None:
        asked.append(question)
        if len(asked) == 2:
            for event in happens:
                event()
        return real(trigger, **question)

    monkeypatch.setattr(CsvConvertedTrigger, "ask", ask)
    return happens


def test_it_waits_deferred_until_the_last_csv_is_converted(
    lake_services: Emulator, second_question: list[Callable[[], object]]
) -> None:
    put_parquet(lake_services, "film/LOAD00000001.parquet", put_csv(lake_services, "film/LOAD00000001.csv"))
    etag = put_csv(lake_services, "actor/LOAD00000001.csv")
    put_parquet(lake_services, "actor/LOAD00000001.parquet", "of an older CSV")
    second_question.append(lambda: put_parquet(lake_services, "actor/LOAD00000001.parquet", etag))
    wait()
    assert messages(lake_services) == []


def test_lost_notifications_are_sent_again(
    lake_services: Emulator, second_question: list[Callable[[], object]]
) -> None:
    put_parquet(lake_services, "film/LOAD00000001.parquet", put_csv(lake_services, "film/LOAD00000001.csv"))
    etag = put_csv(lake_services, "actor/LOAD00000001.csv")
    second_question.append(lambda: put_parquet(lake_services, "actor/LOAD00000001.parquet", etag))
    wait(resend_after=0)
    assert messages(lake_services) == ["dms/sakila/actor/LOAD00000001.csv"]


def test_what_was_never_converted_is_named(lake_services: Emulator) -> None:
    put_csv(lake_services, "actor/LOAD00000001.csv")
    with pytest.raises(AirflowSensorTimeout, match="dms/sakila/actor/LOAD00000001.csv.*csv-objects-dead-letters"):
        wait(timeout=60, waited=61)
    assert messages(lake_services) == []
