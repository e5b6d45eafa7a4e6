from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from lake_airflow.defaults import LAKE
from lake_airflow.operators.s3 import CsvConvertedSensor
from tests.lake_airflow.test_replication import LONG_AGO, put_csv, put_parquet
from tests.support.aws_services import Emulator

pytestmark = pytest.mark.services


def sensor(**options: Any) -> CsvConvertedSensor:
    return CsvConvertedSensor(task_id="wait", started=LONG_AGO, poke_interval=0.1, **options)


def messages(emulator: Emulator) -> list[str]:
    """Keys in the notifications that wait in the queue."""
    sqs = emulator.client("sqs")
    url = sqs.get_queue_url(QueueName=LAKE.csv_queue)["QueueUrl"]
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"])["Records"][0]["s3"]["object"]["key"] for message in received]


def test_true_when_every_csv_is_converted(lake_services: Emulator) -> None:
    etag = put_csv(lake_services, "film/LOAD00000001.csv")
    put_csv(lake_services, "actor/LOAD00000001.csv")
    put_parquet(lake_services, "film/LOAD00000001.parquet", etag)
    assert not sensor().poke({})
    put_parquet(lake_services, "actor/LOAD00000001.parquet", put_csv(lake_services, "actor/LOAD00000001.csv"))
    assert sensor().poke({})
    assert messages(lake_services) == []


def test_lost_notifications_are_sent_again(lake_services: Emulator) -> None:
    etag = put_csv(lake_services, "film/LOAD00000001.csv")
    put_parquet(lake_services, "film/LOAD00000001.parquet", etag)
    put_csv(lake_services, "actor/LOAD00000001.csv")
    waiting = sensor(resend_after=0)
    waiting.poke({})
    assert messages(lake_services) == ["dms/sakila/actor/LOAD00000001.csv"]


def test_what_was_never_converted_is_named(lake_services: Emulator) -> None:
    put_csv(lake_services, "actor/LOAD00000001.csv")
    with pytest.raises(AirflowSensorTimeout, match="dms/sakila/actor/LOAD00000001.csv.*csv-objects-dead-letters"):
        sensor(timeout=0.1).execute({})
