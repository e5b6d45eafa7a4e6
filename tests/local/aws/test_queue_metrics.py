"""An alarm on a queue works with the metric that our server publishes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.aws import queue_metrics
from local.aws.queue_metrics import QueueMetrics
from local.engines.waiting import wait_until
from tests.support.aws_services import LakeServer, running_emulator, running_server

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    folder: Path = tmp_path_factory.mktemp("queue-metrics")
    with pytest.MonkeyPatch.context() as patch, running_emulator(folder) as emulator:
        patch.setattr(queue_metrics, "EVERY", 0.2)
        with running_server(emulator, (QueueMetrics,)) as running:
            yield running


def put_alarm(cloudwatch: Any, queue: str) -> None:
    """An alarm, named after its queue, on the depth of the queue."""
    cloudwatch.put_metric_alarm(
        AlarmName=queue,
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": queue}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )


def test_the_depth_of_an_alarmed_queue_is_published_and_of_no_other(lake: LakeServer) -> None:
    sqs, cloudwatch = (lake.emulator.client(service) for service in ("sqs", "cloudwatch"))
    watched, other = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("watched", "other"))

    def state() -> str:
        return str(cloudwatch.describe_alarms(AlarmNames=["watched"])["MetricAlarms"][0]["StateValue"])

    put_alarm(cloudwatch, "watched")
    sqs.send_message(QueueUrl=other, MessageBody="one")
    wait_until(lambda: state() == "OK", 60, "the alarm did not become OK")
    sqs.send_message(QueueUrl=watched, MessageBody="one")
    wait_until(lambda: state() == "ALARM", 60, "the alarm did not go off")
    found = cloudwatch.list_metrics(Namespace="AWS/SQS")["Metrics"]
    assert [one["Dimensions"] for one in found] == [[{"Name": "QueueName", "Value": "watched"}]]


def test_a_queue_that_is_gone_gets_no_metric(lake: LakeServer) -> None:
    cloudwatch = lake.emulator.client("cloudwatch")
    (metrics,) = lake.server.apis
    assert isinstance(metrics, QueueMetrics)
    put_alarm(cloudwatch, "gone")
    metrics.publish(queue_metrics.datetime.now(queue_metrics.UTC))
    found = cloudwatch.list_metrics(Namespace="AWS/SQS")["Metrics"]
    assert [{"Name": "QueueName", "Value": "gone"}] not in [one["Dimensions"] for one in found]
