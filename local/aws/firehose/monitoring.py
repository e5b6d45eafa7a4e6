"""What CloudWatch receives about the streams: AWS's own metrics once a minute, and failed deliveries in a stream's log.

A thread of its own sends both, so that CloudWatch delays no record when it fails or hangs; what could not be sent is
sent the next time. A kill loses the counts of the last minute, but not those of lost records, which the stream keeps.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.aws.background import Repeating

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

    from local.aws.firehose.destination import Destination
    from local.aws.firehose.stream import Stream

log = logging.getLogger(__name__)

NAMESPACE = "AWS/Firehose"
REPORT_SECONDS = 60.0  # between two reports
MAX_LOG_EVENTS = 5000  # kept for a stream until they are sent; the oldest are dropped first
MAX_METRICS = 1000  # in one call of PutMetricData


class StreamMetrics:
    """The counts and log events of one stream since the last report. Safe to call from any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._outcomes: Counter[bool] = Counter()  # attempts to write to S3, by whether they succeeded
        self._oldest = 0.0  # the greatest age in seconds that a record had when it was delivered
        self._idle = True  # nothing was pending at the last report
        self._events: deque[InputLogEventTypeDef] = deque(maxlen=MAX_LOG_EVENTS)

    def count_incoming(self, records: int, size: int) -> None:
        """Count acknowledged records; ``size`` is in bytes."""
        with self._lock:
            self._counts["IncomingRecords"] += records
            self._counts["IncomingBytes"] += size

    def count_delivery(self, records: int, size: int, age: float) -> None:
        """Count a written object; its oldest record was ``age`` seconds old."""
        with self._lock:
            self._counts["DeliveryToS3.Records"] += records
            self._counts["DeliveryToS3.Bytes"] += size
            self._outcomes[True] += 1
            self._oldest = max(self._oldest, age)

    def count_failure(self) -> None:
        """Count a failed attempt to write an object."""
        with self._lock:
            self._outcomes[False] += 1

    def add_event(self, code: str, message: str) -> None:
        """Add an event for the stream's log."""
        event = {"errorCode": code, "message": message}
        with self._lock:
            self._events.append({"timestamp": int(self._clock() * 1000), "message": json.dumps(event)})

    def take_metrics(self, stream: str, pending_age: float) -> list[MetricDatumTypeDef]:
        """MetricData since the last call; empty for an idle stream. ``pending_age``: see ``Stream.oldest_age``."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            outcomes, self._outcomes = self._outcomes, Counter()
            age, self._oldest = max(self._oldest, pending_age), 0.0
            quiet, self._idle = self._idle and not counts and not outcomes and not age, not age
        if quiet:
            return []
        data: list[MetricDatumTypeDef] = [{"MetricName": "DeliveryToS3.DataFreshness", "Value": age, "Unit": "Seconds"}]
        for name, count in counts.items():
            data.append({"MetricName": name, "Value": count, "Unit": "Bytes" if name.endswith("Bytes") else "Count"})
        if outcomes:
            values, numbers = [float(ok) for ok in outcomes], [float(n) for n in outcomes.values()]
            data.append({"MetricName": "DeliveryToS3.Success", "Values": values, "Counts": numbers, "Unit": "Count"})
        for metric in data:
            metric["Dimensions"] = [{"Name": "DeliveryStreamName", "Value": stream}]
            metric["Timestamp"] = datetime.fromtimestamp(self._clock(), UTC)
        return data

    def take_events(self) -> list[InputLogEventTypeDef]:
        """The events that have not been sent to the stream's log."""
        with self._lock:
            events, self._events = list(self._events), deque(maxlen=MAX_LOG_EVENTS)
        return events

    def put_back_events(self, events: list[InputLogEventTypeDef]) -> None:
        """Keep events that could not be sent for the next report."""
        with self._lock:
            self._events = deque([*events, *self._events], maxlen=MAX_LOG_EVENTS)


class CloudWatchReporter(Repeating):
    """Sends CloudWatch, every minute, what the streams counted.

    ``metrics`` returns a CloudWatch client that acts as the service itself; ``logs`` returns a CloudWatch Logs client
    under the role of a stream's destination, as on AWS.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        metrics: Callable[[], CloudWatchClient],
        logs: Callable[[str], CloudWatchLogsClient],
    ) -> None:
        super().__init__(self.report, REPORT_SECONDS)
        self._streams, self._metrics, self._logs = streams, metrics, logs
        self._unsent: list[MetricDatumTypeDef] = []

    def _run(self) -> None:
        super()._run()
        self.report()  # a last time

    def report(self) -> None:
        """Report now; never raises."""
        for name, stream in list(self._streams.items()):
            self._unsent += stream.metrics.take_metrics(name, stream.oldest_age())
            events = stream.metrics.take_events()
            if events and not self._send_events(stream.destination, events):
                stream.metrics.put_back_events(events)
        self._unsent = self._unsent[-10 * MAX_METRICS :]
        try:
            while self._unsent:
                self._metrics().put_metric_data(Namespace=NAMESPACE, MetricData=self._unsent[:MAX_METRICS])
                del self._unsent[:MAX_METRICS]
        except Exception as error:  # noqa: BLE001 - delivery goes on whatever is wrong with CloudWatch
            log.warning("CloudWatch accepts no metrics now: %s", error)

    def _send_events(self, destination: Destination, events: list[InputLogEventTypeDef]) -> bool:
        """Send events; returns False when they must be sent again."""
        if not destination.log:
            return True
        group, stream = destination.log
        try:
            self._logs(destination.role_arn).put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except Exception as error:  # noqa: BLE001
            log.warning("CloudWatch Logs accepts no events for %s/%s now: %s", group, stream, error)
            return False
        return True
