"""What CloudWatch receives from Firehose, and that it neither delays nor repeats a delivery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.aws.firehose.destination import Destination
from local.aws.firehose.monitoring import CloudWatchReporter
from local.aws.firehose.stream import RETRY_SECONDS, Stream
from tests.local.aws.firehose.fakes import CONFIGURATION, Api, Clock, FakeServices

LOGGING = {"Enabled": True, "LogGroupName": "/firehose", "LogStreamName": "delivery"}


class CloudWatch:
    """Keeps the metrics and log events that were put; refuses both while ``down``."""

    def __init__(self) -> None:
        self.down = False
        self.points: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []

    def put_metric_data(self, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        assert Namespace == "AWS/Firehose"
        self._take(self.points, MetricData)

    def put_log_events(self, logGroupName: str, logStreamName: str, logEvents: list[dict[str, Any]]) -> None:  # noqa: N803
        assert (logGroupName, logStreamName) == ("/firehose", "delivery")
        self._take(self.events, logEvents)

    def _take(self, kept: list[dict[str, Any]], given: list[dict[str, Any]]) -> None:
        if self.down:
            raise ConnectionError("CloudWatch is down")
        kept.extend(given)

    def values(self, metric: str) -> list[float]:
        """The metric's values in the order in which they were put."""
        return [point["Value"] for point in self.points if point["MetricName"] == metric]


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(FakeServices(tmp_path))


@pytest.fixture
def cloudwatch(api: Api) -> CloudWatch:
    """The CloudWatch to which Firehose's reporter sends."""
    made = CloudWatch()
    client: Any = made
    api.firehose.reporter = CloudWatchReporter(api.firehose.streams, lambda: client, lambda _: client)
    return made


def test_freshness_is_the_age_of_the_oldest_record_until_it_is_delivered(api: Api, cloudwatch: CloudWatch) -> None:
    api.create()
    api.firehose.reporter.report()
    assert cloudwatch.points == []  # an idle stream sends nothing
    api.s3.failing = 1e9
    api.put(b"a", b"bc")
    for _ in range(3):
        api.tick(60)
        api.firehose.reporter.report()
    assert cloudwatch.values("DeliveryToS3.DataFreshness") == [60, 120, 180]
    api.s3.failing = 0
    api.tick(60)
    api.firehose.reporter.report()
    api.firehose.reporter.report()
    api.firehose.reporter.report()
    assert cloudwatch.values("DeliveryToS3.DataFreshness") == [60, 120, 180, 240, 0]
    assert cloudwatch.values("IncomingRecords") == cloudwatch.values("DeliveryToS3.Records") == [2]
    assert cloudwatch.values("IncomingBytes") == cloudwatch.values("DeliveryToS3.Bytes") == [3]
    success = [dict(zip(p["Values"], p["Counts"], strict=True)) for p in cloudwatch.points if "Values" in p]
    assert success == [{0.0: 1.0}] * 3 + [{1.0: 1.0}]


def test_a_failure_of_cloudwatch_stops_no_delivery_and_metrics_are_sent_later(api: Api, cloudwatch: CloudWatch) -> None:
    api.create(CloudWatchLoggingOptions=LOGGING)
    cloudwatch.down, api.s3.failing = True, 1
    api.put(b"a")
    api.tick(60)
    api.firehose.reporter.report()
    api.tick(60)
    api.firehose.reporter.report()
    assert list(api.s3.objects.values()) == [b"a"]
    cloudwatch.down = False
    api.firehose.reporter.report()
    assert cloudwatch.values("IncomingRecords") == cloudwatch.values("DeliveryToS3.Records") == [1]
    (event,) = [json.loads(event["message"]) for event in cloudwatch.events]
    assert event["errorCode"] == "S3.ServiceException"
    assert event["message"].startswith("1 records wait, s3://landing/streaming/")


def test_a_kill_just_after_the_loss_was_counted_counts_it_once_and_delivers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, delivered = Clock(), []

    def stream(*, down: bool) -> Stream:
        def put(_: Destination, __: str, key: str, ___: bytes) -> None:
            if down:
                raise ConnectionError("S3 is down")
            delivered.append(key)

        return Stream("events", tmp_path, Destination.parse(CONFIGURATION), 1, put=put, clock=clock)

    class Killed(BaseException):
        """The process ends here."""

    def kill(_: object) -> None:
        raise Killed

    first = stream(down=True)
    first.put([b"ab"])
    for seconds in (60.0, RETRY_SECONDS - 1):
        clock.now += seconds
        first.tick()
    clock.now += 60
    monkeypatch.setattr(first, "_forget", kill)
    with pytest.raises(Killed):
        first.tick()
    second = stream(down=False)
    clock.now += 60
    second.tick()
    assert second.lost() == {"objects": 1, "records": 1, "bytes": 2}
    assert (delivered, second.pending()) == ([], 0)


def test_logging_without_a_place_is_refused(api: Api) -> None:
    error = api.error(
        "CreateDeliveryStream",
        DeliveryStreamName="events",
        ExtendedS3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/firehose",
            "BucketARN": "arn:aws:s3:::landing",
            "CloudWatchLoggingOptions": {"Enabled": True},
        },
    )
    assert "LogGroupName and LogStreamName are needed" in error.message
