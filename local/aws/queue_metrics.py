"""SQS's metric that alarms look at: how many messages wait in a queue. The emulator counts them and tells nobody.

Every few seconds (AWS: every minute) the depth of each queue that an alarm names goes to CloudWatch, as the service's
own. Only those queues: the emulator's alarms take a metric's points whatever their dimensions, so other queues' depths
would set them off. Left out: all other metrics of SQS.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from local.aws.protocol import Handler, Services

log = logging.getLogger(__name__)

NAMESPACE, METRIC = "AWS/SQS", "ApproximateNumberOfMessagesVisible"
EVERY = 10.0  # seconds


class QueueMetrics:
    """Tells CloudWatch from a thread of its own; CloudWatch's API itself is the emulator's."""

    service = "monitoring"
    passes_through = True
    actions: Mapping[str, Handler] = {}

    def __init__(self, services: Services) -> None:
        self._clients = services.root
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="queue-metrics", daemon=True)

    def start(self) -> None:
        """Tell in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; there is nothing to lose."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            try:
                self.tell(datetime.now(UTC))
            except Exception as error:  # noqa: BLE001 - the emulator may be down; it is told the next time
                log.warning("CloudWatch takes no metrics now: %s", error)

    def tell(self, now: datetime) -> None:
        """Put the depth of every queue that an alarm names, as of ``now``."""
        for name in sorted(set(self._alarmed())):
            sqs = self._clients("sqs")
            try:
                url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
                found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            except sqs.exceptions.QueueDoesNotExist:
                continue
            self._clients("cloudwatch").put_metric_data(
                Namespace=NAMESPACE,
                MetricData=[
                    {
                        "MetricName": METRIC,
                        "Dimensions": [{"Name": "QueueName", "Value": name}],
                        "Timestamp": now,
                        "Value": float(found["Attributes"]["ApproximateNumberOfMessages"]),
                        "Unit": "Count",
                    }
                ],
            )

    def _alarmed(self) -> Iterator[str]:
        """Names of the queues whose depth an alarm looks at."""
        for page in self._clients("cloudwatch").get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"]):
            for alarm in page["MetricAlarms"]:
                if (alarm.get("Namespace"), alarm.get("MetricName")) == (NAMESPACE, METRIC):
                    yield from (one["Value"] for one in alarm["Dimensions"] if one["Name"] == "QueueName")
