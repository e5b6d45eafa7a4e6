"""A home with nothing but Firehose, whose clock, S3 and refusals a test controls; and events sent to it."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.config import Config

from kdg.generator import Event, Generator
from kdg.sender import Ledger, Sender, Summary
from kdg.template import EVENTS, Template
from local.aws.firehose import Firehose
from local.aws.firehose.stream import Stream
from local.aws.protocol import Services
from tests.support.aws_services import LakeServer, running_emulator, running_server
from tests.support.faulty_proxy import Proxy, faulty_proxy

# Given a stream and a number of records: the error code of each position to refuse
Refusals = Callable[[str, int], Mapping[int, str]]

ONE_TRY = Config(retries={"total_max_attempts": 1}, parameter_validation=False)


class ThroughProxy:
    """What the server offers its services, except that the roles' S3 clients go through a proxy."""

    def __init__(self, services: Services, proxy: Proxy) -> None:
        self._services, self._proxy = services, proxy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._services, name)

    def session(self, role: str, name: str) -> Any:
        """A session whose S3 client goes through the proxy."""
        session: Any = self._services.session(role, name)
        url = self._proxy.url

        class Session:
            def client(self, service: str, **options: Any) -> Any:
                return session.client(service, endpoint_url=url if service == "s3" else None, **options)

        return Session()


@dataclass
class FirehoseHome:
    """Firehose alone: a test moves its clock, plans the faults of its S3, and lets it refuse records."""

    server: LakeServer
    proxy: Proxy
    firehose: Firehose
    clock: list[float]  # one number: seconds by which Firehose's clock is ahead
    refuse: list[Refusals]  # at most one function

    def stream(self, name: str, seconds: int) -> Stream:
        """A stream to a bucket of the same name, which delivers every ``seconds`` and has a log."""
        s3, logs = self.server.emulator.client("s3"), self.server.emulator.client("logs")
        s3.create_bucket(Bucket=name)
        logs.create_log_group(logGroupName=f"/{name}")
        logs.create_log_stream(logGroupName=f"/{name}", logStreamName="delivery")
        role = self.server.role(
            name,
            {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{name}/*"},
            {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": f"arn:aws:logs:*:*:log-group:/{name}*"},
        )
        self.server.client("firehose").create_delivery_stream(
            DeliveryStreamName=name,
            ExtendedS3DestinationConfiguration={
                "RoleARN": role,
                "BucketARN": f"arn:aws:s3:::{name}",
                "Prefix": "streaming/!{timestamp:yyyy/MM/}",
                "ErrorOutputPrefix": "streaming-errors/!{firehose:error-output-type}/",
                "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": seconds},
                "ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord"}]},
                "CloudWatchLoggingOptions": {
                    "Enabled": True,
                    "LogGroupName": f"/{name}",
                    "LogStreamName": "delivery",
                },
            },
        )
        return self.firehose.streams[name]

    def landed(self, name: str) -> Counter[str]:
        """How often each event id is among the stream's objects."""
        lines = b"".join(object_bodies(self.server, name)).splitlines()
        return Counter(json.loads(line)["event_id"] for line in lines)


@contextmanager
def running_firehose(folder: Path) -> Iterator[FirehoseHome]:
    """An emulator with its state in ``folder``, and a server that serves Firehose alone."""
    clock: list[float] = [0.0]
    refuse: list[Refusals] = []
    made: list[Firehose] = []

    def refusals(stream: str, count: int) -> Mapping[int, str]:
        return refuse[0](stream, count) if refuse else {}

    with running_emulator(folder) as emulator, faulty_proxy(emulator.settings.emulator_url) as proxy:

        def firehose(services: Services) -> Firehose:
            through: Any = ThroughProxy(services, proxy)
            made.append(Firehose(through, clock=lambda: time.time() + clock[0], fault=refusals))
            return made[0]

        with running_server(emulator, (firehose,)) as server:
            yield FirehoseHome(server, proxy, made[0], clock, refuse)


def object_bodies(server: LakeServer, bucket: str) -> list[bytes]:
    """The content of every delivered object."""
    s3 = server.emulator.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="streaming/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]


def events(seed: int, count: int) -> list[Event]:
    """Generated events of this moment, with ids that no other call makes."""
    return Generator(Template.read(EVENTS), seed=seed, run_id=uuid.uuid4()).take([time.time()] * count)


@contextmanager
def sender(client: Any, stream: str, ledger: Path, threads: int = 4) -> Iterator[Sender]:
    """A sender to a stream; the file ``ledger`` takes the ids of acknowledged events, one a line."""
    with Ledger(ledger) as book, Sender(client, stream, book, threads) as running:
        yield running


def send(client: Any, stream: str, ledger: Path, made: list[Event], threads: int = 4) -> Summary:
    """Send the events and return what became of them."""
    with sender(client, stream, ledger, threads) as running:
        running.send(made)
    return running.summary
