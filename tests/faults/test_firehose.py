"""Firehose: refuses in part, loses its replies, finds S3 slow or gone for a day, or its own disk full."""

from __future__ import annotations

import json
import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from infrastructure.cfn.template import parse_template
from infrastructure.package import render_template
from kdg.generator import Event, Generator
from kdg.sender import Ledger, Sender, Summary
from kdg.template import EVENTS, Template
from local.aws.firehose import Firehose
from local.aws.firehose.stream import RETRY_SECONDS, Stream
from local.aws.protocol import Services
from tests.faults.catalogue import Fault, fault
from tests.faults.disk import full_disk
from tests.glue.lake import TestLake
from tests.support.aws_services import LakeServer, root_client, running_emulator, running_server, wait_until
from tests.support.faulty_proxy import CUT, REPLY_LOST, UNAVAILABLE, Plan, Proxy, faulty_proxy

pytestmark = pytest.mark.services
FAILURES = ("ServiceUnavailableException", "InternalFailure")
ONE_TRY = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
DOWN = {CUT: 1.0}


class ThroughProxy:
    """What the server offers its executors, but roles' S3 clients go through a proxy."""

    def __init__(self, services: Services, proxy: Proxy) -> None:
        self._services, self._proxy = services, proxy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._services, name)

    def session(self, role: str, name: str) -> Any:
        """A session whose S3 client goes through the proxy."""
        session, url = self._services.session(role, name), self._proxy.url

        class Session:
            def client(self, service: str, **options: Any) -> Any:
                return session.client(service, endpoint_url=url if service == "s3" else None, **options)

        return Session()


@dataclass
class Home:
    """Firehose alone, with a clock that tests move, a proxy between it and S3, and refusals by ``refuse``."""

    server: LakeServer
    proxy: Proxy
    executor: Firehose
    clock: list[float]  # seconds by which Firehose's clock is ahead
    refuse: list[Any] = field(default_factory=list)  # [function] or []

    def stream(self, name: str, seconds: int) -> Stream:
        """A stream to a bucket of its own name, delivering every ``seconds``, with a log."""
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
                "CloudWatchLoggingOptions": {
                    "Enabled": True,
                    "LogGroupName": f"/{name}",
                    "LogStreamName": "delivery",
                },
            },
        )
        return self.executor.streams[name]

    def landed(self, name: str) -> Counter[str]:
        """How often each event id is among the stream's objects."""
        return Counter(json.loads(line)["event_id"] for line in b"".join(bodies(self.server, name)).splitlines())


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An emulator and a server with Firehose alone. Each test its own: the emulator's alarms know no dimensions."""
    clock, refuse = [0.0], []  # type: ignore[var-annotated]
    made: list[Firehose] = []

    def refusals(stream: str, count: int) -> Mapping[int, str]:
        return refuse[0](stream, count) if refuse else {}

    with (
        running_emulator(tmp_path / "home") as emulator,
        faulty_proxy(emulator.settings.emulator_url) as proxy,
    ):

        def firehose(services: Services) -> Firehose:
            through: Any = ThroughProxy(services, proxy)
            made.append(Firehose(through, clock=lambda: time.time() + clock[0], fault=refusals))
            return made[0]

        with running_server(emulator, (firehose,)) as server:
            yield Home(server, proxy, made[0], clock, refuse)


def bodies(server: LakeServer, bucket: str) -> list[bytes]:
    s3 = server.emulator.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="streaming/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]


def events(seed: int, count: int) -> list[Event]:
    return Generator(Template.read(EVENTS), seed=seed, run_id=uuid.uuid4()).take([time.time()] * count)


@contextmanager
def sender(client: Any, stream: str, ledger: Path, threads: int = 4) -> Iterator[Sender]:
    with Ledger(ledger) as book, Sender(client, stream, book, threads) as running:
        yield running


def send(client: Any, stream: str, ledger: Path, made: list[Event], threads: int = 4) -> Summary:
    with sender(client, stream, ledger, threads) as running:
        running.send(made)
    return running.summary


@fault(Fault.PARTIAL_FAILURE)
def test_put_record_batch_fails_in_part(home: Home, seed: int, tmp_path: Path) -> None:
    rng, name = random.Random(seed), f"part-{seed}"
    stream = home.stream(name, seconds=rng.choice([0, 1]))
    refused: list[int] = []

    def refuse(_: str, count: int) -> dict[int, str]:
        positions = {i: rng.choice(FAILURES) for i in range(count) if rng.random() < 0.2}
        refused.append(len(positions))
        return positions

    home.refuse[:] = [refuse]
    offered: Counter[str] = Counter()

    class Client:
        """Counts what is offered."""

        def __init__(self) -> None:
            self._client = home.server.client("firehose", config=ONE_TRY)

        def put_record_batch(self, **call: Any) -> Any:
            offered.update(json.loads(record["Data"])["event_id"] for record in call["Records"])
            return self._client.put_record_batch(**call)

    made = events(seed, rng.randint(500, 3000))
    try:
        summary = send(Client(), name, tmp_path / "ledger", made, threads=rng.randint(1, 4))
    finally:
        home.refuse.clear()
    wait_until(lambda: stream.pending() == 0, what="delivery")
    ledger = (tmp_path / "ledger").read_text().split()
    assert summary.acknowledged == summary.sent == len(made)
    assert sum(offered.values()) - len(made) == summary.failed_attempts == sum(refused) > 50
    assert home.landed(name) == Counter(ledger) == Counter(event.event_id for event in made)  # each once


@pytest.mark.spark
@fault(Fault.LOST_REPLY)
def test_firehose_accepts_and_the_reply_is_lost(
    lake_server: LakeServer, lake: TestLake, seed: int, tmp_path: Path
) -> None:
    rng, name = random.Random(seed), f"reply-{uuid.uuid4().hex[:12]}"
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{lake.landing}/*"}
    firehose = lake_server.client("firehose")
    firehose.create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration={
            "RoleARN": lake_server.role(name, allowed),
            "BucketARN": f"arn:aws:s3:::{lake.landing}",
            "Prefix": "streaming/!{timestamp:yyyy/MM/}",
            "ErrorOutputPrefix": "streaming-errors/!{firehose:error-output-type}/",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": rng.choice([0, 1])},
        },
    )
    plan = Plan(rng, {REPLY_LOST: rng.choice([0.1, 0.3, 0.5])}, at_most=10)
    with faulty_proxy(lake_server.settings.server_url, plan) as proxy:
        producer = root_client(proxy.url, "firehose", config=ONE_TRY)
        made = events(seed, rng.randint(3000, 6000))
        summary = send(producer, name, tmp_path / "ledger", made, threads=rng.randint(1, 4))
        lost = len(proxy.wrong(REPLY_LOST))
    firehose.delete_delivery_stream(DeliveryStreamName=name)  # delivers what it holds
    report = lake.hourly()
    ledger = (tmp_path / "ledger").read_text().split()
    rows = Counter(row.event_id for row in lake.films().select("event_id").collect())
    assert rows == Counter(ledger) == Counter(event.event_id for event in made)  # each once
    assert lake.reasons() == ({"duplicate": summary.failed_attempts} if lost else {})
    assert report.landed == len(made) + summary.failed_attempts


@fault(Fault.DISK_FULL)
def test_the_disk_of_firehose_is_full(home: Home, seed: int, tmp_path: Path) -> None:
    rng, name = random.Random(seed), f"full-{seed}"
    stream = home.stream(name, seconds=60)
    client = home.server.client("firehose", config=ONE_TRY)
    made = events(seed, rng.randint(1000, 3000))
    first = rng.randint(1, 300)
    with sender(client, name, tmp_path / "ledger", threads=rng.randint(1, 4)) as running:
        running.send(made[:first])
        wait_until(lambda: running.summary.acknowledged == first, what="the first records")
        with full_disk(rng.randint(60_000, 100_000)):  # of the buffer, which is a file
            sending = threading.Thread(target=running.send, args=(made[first:],))  # it blocks while nothing is taken
            sending.start()
            wait_until(lambda: running.summary.failed_attempts > 0, what="a refusal")
        sending.join()
    home.clock[0] += 60
    wait_until(lambda: (stream.tick(), stream.pending())[1] == 0, what="delivery")
    ledger = (tmp_path / "ledger").read_text().split()
    landed = home.landed(name)
    assert Counter(ledger) == Counter(event.event_id for event in made)
    assert set(landed) == set(ledger)
    assert landed.total() - len(landed) <= running.summary.failed_attempts, "only what was refused may be there twice"


@fault(Fault.THROTTLING)
def test_s3_answers_503_to_firehose(home: Home, seed: int, tmp_path: Path) -> None:
    rng, name = random.Random(seed), f"slow-{seed}"
    stream = home.stream(name, seconds=60)
    client = home.server.client("firehose", config=ONE_TRY)
    home.proxy.plan = Plan(rng, {UNAVAILABLE: rng.choice([0.05, 0.2, 0.5]), REPLY_LOST: 0.1})
    for number in range(rng.randint(4, 12)):
        send(client, name, tmp_path / "ledger", events(1000 * seed + number, rng.randint(1, 500)))
        home.clock[0] += 60
        stream.tick()
    minutes = 0
    while stream.pending():
        minutes += 1
        assert minutes < 60
        home.clock[0] += 60
        stream.tick()
    home.proxy.plan = None
    assert home.landed(name) == Counter((tmp_path / "ledger").read_text().split()), "each once, under its first name"
    assert stream.lost()["records"] == 0


class Alarm:
    """The template's alarm on one stream of the home, whose topic a queue listens to."""

    def __init__(self, server: LakeServer, stream: str) -> None:
        self._cloudwatch, self._sqs = server.emulator.client("cloudwatch"), server.emulator.client("sqs")
        sns = server.emulator.client("sns")
        topic = sns.create_topic(Name=stream)["TopicArn"]
        queue = topic.replace(":sns:", ":sqs:")
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self._queue = self._sqs.create_queue(QueueName=stream, Attributes={"Policy": policy})["QueueUrl"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
        properties = parse_template(render_template())["Resources"]["EventsUndeliveredAlarm"]["Properties"]
        self._name = stream
        self._cloudwatch.put_metric_alarm(
            **{
                **properties,
                "AlarmName": stream,
                "Dimensions": [{"Name": "DeliveryStreamName", "Value": stream}],
                "AlarmActions": [topic],
                "OKActions": [],
            }
        )

    def state(self) -> str:
        (found,) = self._cloudwatch.describe_alarms(AlarmNames=[self._name])["MetricAlarms"]
        return str(found["StateValue"])

    def told(self) -> bool:
        """Whether the topic has passed something on."""
        return "Messages" in self._sqs.receive_message(QueueUrl=self._queue, WaitTimeSeconds=2)


def metric_sum(home: Home, stream: str, metric: str) -> float:
    """Of all points, those in the future of the test's clock too."""
    now = datetime.now(UTC)
    found = home.server.emulator.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Firehose",
        MetricName=metric,
        Dimensions=[{"Name": "DeliveryStreamName", "Value": stream}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(days=40),
        Period=86400,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in found["Datapoints"]))


@fault(Fault.S3_DOWN_A_DAY)
def test_s3_is_down_for_more_than_a_day(home: Home, seed: int, tmp_path: Path) -> None:
    rng, names = random.Random(seed), [f"down-{seed}-{which}" for which in "ab"]
    streams = {name: home.stream(name, seconds=60) for name in names}
    client = home.server.client("firehose", config=ONE_TRY)
    sent: dict[str, list[Event]] = {name: [] for name in names}
    alarm = Alarm(home.server, names[0])

    def partners_send() -> None:
        for name in names:
            made = events(rng.randrange(2**32), rng.randint(1, 300))
            send(client, name, tmp_path / name, made)
            sent[name] += made

    def pass_time(seconds: float) -> None:
        home.clock[0] += seconds
        for stream in streams.values():
            stream.tick()
        home.executor.reporter.report()

    home.proxy.plan = Plan(rng, DOWN)
    began = time.time()
    partners_send()
    seconds = 0.0
    while (alarmed := alarm.state() == "ALARM") is False and seconds < 1200:
        pass_time(step := rng.uniform(30, 60))
        seconds += step
    assert alarmed
    # Firehose's clock goes on by itself, too, while the test works
    assert seconds + time.time() - began > 900, "not before 15 minutes"
    assert seconds <= 960, "15 minutes, give or take the minute between two reports"
    assert alarm.told()
    day = RETRY_SECONDS + 3600
    while seconds < day:
        partners_send()
        pass_time(step := rng.uniform(1800, 7200))
        seconds += step
    home.proxy.plan = None  # S3 is back
    pass_time(120)

    for name, stream in streams.items():
        assert stream.pending() == 0
        ledger = Counter((tmp_path / name).read_text().split())
        landed = home.landed(name)
        missing = ledger - landed
        size = {event.event_id: len(event.data) for event in sent[name]}
        assert landed <= ledger, "nothing twice"
        assert missing, "what waited for more than 24 hours is lost"
        assert landed, "what waited for less is not"
        # the count is exact, and an operator finds it: in the stream's state, in its log, in the metrics
        assert (stream.lost()["records"], stream.lost()["bytes"]) == (len(missing), sum(size[lost] for lost in missing))
        assert told_lost(home, name) == (len(missing), sum(size[lost] for lost in missing))
        sums = [metric_sum(home, name, metric) for metric in ("IncomingRecords", "DeliveryToS3.Records")]
        assert sums[0] - sums[1] == len(missing)


def told_lost(home: Home, stream: str) -> tuple[int, int]:
    """Records and bytes that the stream's log says were lost."""
    pages = home.server.emulator.client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/{stream}")
    told = [json.loads(event["message"])["message"] for page in pages for event in page["events"]]
    lost = [re.match(r"LOST (\d+) records, (\d+) bytes", text) for text in told]
    return sum(int(one[1]) for one in lost if one), sum(int(one[2]) for one in lost if one)
