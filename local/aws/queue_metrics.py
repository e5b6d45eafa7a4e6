"""Publishes SQS's metric of the messages that wait in a queue, on which alarms are set; the emulator does not.

Every few seconds (AWS: every minute) the depth of each queue that an alarm names is put into CloudWatch, under SQS's
namespace. Other queues are left out, because the emulator's alarms ignore a metric's dimensions and would be triggered
by them. All other metrics of SQS are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.aws.background import Repeating
from local.aws.protocol import Handler, Services

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

NAMESPACE, METRIC = "AWS/SQS", "ApproximateNumberOfMessagesVisible"
EVERY = 10.0  # seconds


class QueueMetrics(Repeating):
    """Puts the metric from a thread of its own; CloudWatch's API itself is the emulator's."""

    service = "monitoring"
    passes_through = True
    actions: Mapping[str, Handler] = {}

    def __init__(self, services: Services) -> None:
        super().__init__(self._try_to_publish, EVERY)
        self._clients = services.root

    def _try_to_publish(self) -> None:
        try:
            self.publish(datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - the emulator may be down; the next round tries again
            log.warning("CloudWatch takes no metrics now: %s", error)

    def publish(self, now: datetime) -> None:
        """Put the depth of every queue that an alarm names, as of ``now``."""
        cloudwatch: CloudWatchClient = self._clients("cloudwatch")
        for name in sorted(set(self._alarmed(cloudwatch))):
            sqs: SQSClient = self._clients("sqs")
            try:
                url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
                found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            except sqs.exceptions.QueueDoesNotExist:
                continue
            metric: MetricDatumTypeDef = {
                "MetricName": METRIC,
                "Dimensions": [{"Name": "QueueName", "Value": name}],
                "Timestamp": now,
                "Value": float(found["Attributes"]["ApproximateNumberOfMessages"]),
                "Unit": "Count",
            }
            cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=[metric])

    @staticmethod
    def _alarmed(cloudwatch: CloudWatchClient) -> Iterator[str]:
        """Names of the queues that have an alarm on this metric."""
        for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"]):
            for alarm in page["MetricAlarms"]:
                if (alarm.get("Namespace"), alarm.get("MetricName")) == (NAMESPACE, METRIC):
                    yield from (one["Value"] for one in alarm["Dimensions"] if one["Name"] == "QueueName")
