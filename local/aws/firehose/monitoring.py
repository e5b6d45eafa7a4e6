"""What CloudWatch learns of the streams: AWS's own metrics once a minute, and in a stream's log what was not delivered.

Told from a thread of its own, so a CloudWatch that fails or hangs delays no record; what could not be told is told the
next time. Counts of the last minute die with a killed process; what was lost for good is kept by the stream itself.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

log = logging.getLogger(__name__)

NAMESPACE = "AWS/Firehose"
EVERY = 60.0  # seconds
MAX_LOG_EVENTS = 5000  # kept for a stream until they are told; the oldest go first
MAX_METRICS = 1000  # a call
_UNITS = {"Records": "Count", "Bytes": "Bytes"}


class Monitor:
    """Counts of one stream since they were last told. Safe to call from any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._outcomes: Counter[bool] = Counter()  # puts to S3, by whether they succeeded
        self._oldest = 0.0  # seconds: the greatest age that a record had when it was delivered
        self._idle = True  # nothing was pending when it was last told
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_LOG_EVENTS)

    def taken(self, records: int, size: int) -> None:
        """Records were acknowledged; ``size`` in bytes."""
        with self._lock:
            self._counts["IncomingRecords"] += records
            self._counts["IncomingBytes"] += size

    def delivered(self, records: int, size: int, age: float) -> None:
        """An object was written whose oldest record was ``age`` seconds old."""
        with self._lock:
            self._counts["DeliveryToS3.Records"] += records
            self._counts["DeliveryToS3.Bytes"] += size
            self._outcomes[True] += 1
            self._oldest = max(self._oldest, age)

    def failed(self) -> None:
        """An attempt to write an object failed."""
        with self._lock:
            self._outcomes[False] += 1

    def note(self, code: str, message: str) -> None:
        """Something to tell the stream's log."""
        event = {"errorCode": code, "message": message}
        with self._lock:
            self._events.append({"timestamp": int(self._clock() * 1000), "message": json.dumps(event)})

    def metrics(self, stream: str, pending_age: float) -> list[dict[str, Any]]:
        """MetricData since the last call, nothing for an idle stream; ``pending_age``: of the oldest record held."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            outcomes, self._outcomes = self._outcomes, Counter()
            age, self._oldest = max(self._oldest, pending_age), 0.0
            quiet, self._idle = self._idle and not counts and not outcomes and not age, not age
        if quiet:
            return []
        common = {
            "Dimensions": [{"Name": "DeliveryStreamName", "Value": stream}],
            "Timestamp": datetime.fromtimestamp(self._clock(), UTC),
        }
        data = [{"MetricName": "DeliveryToS3.DataFreshness", "Value": age, "Unit": "Seconds"}]
        data += [
            {"MetricName": name, "Value": float(count), "Unit": next(u for end, u in _UNITS.items() if end in name)}
            for name, count in counts.items()
        ]
        if outcomes:
            values = {"Values": [float(ok) for ok in outcomes], "Counts": [float(n) for n in outcomes.values()]}
            data.append({"MetricName": "DeliveryToS3.Success", "Unit": "Count", **values})
        return [{**common, **metric} for metric in data]

    def log_events(self) -> list[dict[str, Any]]:
        """Take what the stream's log has not been told."""
        with self._lock:
            events, self._events = list(self._events), deque(maxlen=MAX_LOG_EVENTS)
        return events

    def log_again(self, events: list[dict[str, Any]]) -> None:
        """Put back what could not be told."""
        with self._lock:
            self._events = deque([*events, *self._events], maxlen=MAX_LOG_EVENTS)


class Reporter:
    """Tells CloudWatch, every minute, what the monitors counted.

    ``metrics`` gives a CloudWatch client, as the service's own; ``logs`` a CloudWatch Logs client under the role of a
    stream's destination, as on AWS.
    """

    def __init__(self, streams: Mapping[str, Any], metrics: Callable[[], Any], logs: Callable[[str], Any]) -> None:
        self._streams, self._metrics, self._logs = streams, metrics, logs
        self._untold: list[dict[str, Any]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="firehose-reporter", daemon=True)

    def start(self) -> None:
        """Tell in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Tell what is left, if CloudWatch answers within seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            self.tell()
        self.tell()

    def tell(self) -> None:
        """Tell now; never raises."""
        for name, stream in list(self._streams.items()):
            self._untold += stream.monitor.metrics(name, stream.age())
            events = stream.monitor.log_events()
            if events and not self._log(stream.destination, events):
                stream.monitor.log_again(events)
        self._untold = self._untold[-10 * MAX_METRICS :]
        try:
            while self._untold:
                self._metrics().put_metric_data(Namespace=NAMESPACE, MetricData=self._untold[:MAX_METRICS])
                del self._untold[:MAX_METRICS]
        except Exception as error:  # noqa: BLE001 (delivery goes on whatever ails CloudWatch)
            log.warning("CloudWatch takes no metrics now: %s", error)

    def _log(self, destination: Any, events: list[dict[str, Any]]) -> bool:
        """Whether the events need not be told again."""
        if not destination.log:
            return True
        group, stream = destination.log
        try:
            self._logs(destination.role_arn).put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except Exception as error:  # noqa: BLE001
            log.warning("CloudWatch Logs takes no events for %s/%s now: %s", group, stream, error)
            return False
        return True
