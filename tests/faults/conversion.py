"""What tests of the CSV conversion share: batches of messages for the handler, and the sweep for lost notifications."""

from __future__ import annotations

import json
from typing import Any

from lake_airflow.operators.s3 import CsvConvertedSensor
from tests.support.dag_services import a_try, run_task

ALL_CONVERTED: dict[str, Any] = {"batchItemFailures": []}


def sqs_batch(*bodies: dict[str, Any] | str) -> dict[str, Any]:
    """An event with SQS messages, whose ids are m0, m1, ..."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {
        "Records": [
            {"messageId": f"m{number}", "eventSource": "aws:sqs", "body": text} for number, text in enumerate(texts)
        ]
    }


def sweep(began: str) -> None:
    """Do what the task ``wait_for_parquet`` of replicate_sakila does, with short intervals."""
    sensor = CsvConvertedSensor(task_id="sweep", started=began, poke_interval=0.1, resend_after=1, timeout=60)
    run_task(sensor, a_try())
