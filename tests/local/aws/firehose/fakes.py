"""Firehose as a client sees it, with a bucket and a clock that the test controls."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from local.aws.firehose import Firehose
from local.aws.protocol import AwsError, Caller, Request
from local.aws.service_models import answered
from local.commands.aws_server import aws_settings
from local.settings import Settings

ROLE = "arn:aws:iam::123456789012:role/firehose"
CONFIGURATION = {
    "RoleARN": ROLE,
    "BucketARN": "arn:aws:s3:::landing",
    "Prefix": "streaming/!{timestamp:yyyy/MM/}",
    "ErrorOutputPrefix": "streaming-errors/!{firehose:error-output-type}/!{timestamp:yyyy/MM/}",
    "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 60},
}
CALLER = Caller("arn:aws:sts::123456789012:assumed-role/producer/x", "arn:aws:iam::123456789012:role/producer", "AKIA")
START = 1_790_000_000.0  # 2026-09-21T14:13:20Z


class S3:
    """The objects of a bucket; the next ``failing`` puts fail."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[dict[str, Any]] = []
        self.failing: float = 0

    def put_object(self, **put: Any) -> None:
        self.puts.append(put)
        if self.failing > 0:
            self.failing -= 1
            raise EndpointConnectionError(endpoint_url="http://s3")
        self.objects[put["Key"]] = put["Body"]


class FakeServices:
    """The server's side: every role but ``nobody`` can be assumed; every action but those in ``denied`` is allowed."""

    def __init__(self, home: Path) -> None:
        self.settings = aws_settings(Settings(home=home, port=15300))
        self.s3 = S3()
        self.denied: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def session(self, role_arn: str, name: str) -> Any:
        if role_arn.endswith("/nobody"):
            raise AwsError("AccessDeniedException", "no")
        services = self

        class Session:
            def client(self, service: str, **_: Any) -> S3:
                assert service == "s3"
                return services.s3

        return Session()

    def authorize(self, caller: Caller, action: str, *resources: str) -> None:
        self.asked += [(action, resource) for resource in resources]
        if action in self.denied:
            raise AwsError("AccessDeniedException", f"{caller.arn} is not authorized to perform: {action}")


class Clock:
    """A clock that only moves when a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Api:
    """Firehose as a client sees it, without background threads: ``tick`` delivers what is due."""

    def __init__(self, services: FakeServices, **options: Any) -> None:
        self.clock = Clock()
        self.services, self.s3 = services, services.s3
        self.firehose = Firehose(services, clock=self.clock, **options)  # type: ignore[arg-type]
        self.firehose.start()

    def __call__(self, action: str, **payload: Any) -> dict[str, Any]:
        reply = answered(self.firehose.actions[action], Request("firehose", action, payload, CALLER))
        assert isinstance(reply, dict)
        return reply

    def create(self, name: str = "events", **changes: Any) -> None:
        self(
            "CreateDeliveryStream", DeliveryStreamName=name, ExtendedS3DestinationConfiguration=CONFIGURATION | changes
        )

    def update(self, version: str, **changes: Any) -> None:
        self("UpdateDestination", DeliveryStreamName="events", CurrentDeliveryStreamVersionId=version,
             DestinationId="destinationId-000000000001", ExtendedS3DestinationUpdate=changes)  # fmt: skip

    def put(self, *records: bytes, name: str = "events") -> dict[str, Any]:
        data = [{"Data": base64.b64encode(record).decode()} for record in records]
        return self("PutRecordBatch", DeliveryStreamName=name, Records=data)

    def tick(self, seconds: float = 0) -> None:
        self.clock.now += seconds
        for stream in self.firehose.streams.values():
            stream.tick()

    def error(self, action: str, **payload: Any) -> AwsError:
        with pytest.raises(AwsError) as caught:
            self(action, **payload)
        return caught.value
