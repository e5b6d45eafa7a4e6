"""Fault 20: S3 is away from Firehose for longer than Firehose tries."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infrastructure.cfn.template import parse_template
from infrastructure.package import render_template
from kdg.generator import Event
from local.aws.firehose.stream import RETRY_SECONDS
from tests.faults.catalogue import Fault, fault
from tests.faults.firehose_home import ONE_TRY, FirehoseHome, events, send
from tests.support.aws_services import LakeServer
from tests.support.faulty_proxy import CUT, Plan

pytestmark = pytest.mark.services


class Alarm:
    """The template's alarm on one stream of the home; a queue is subscribed to its topic."""

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

    def has_told(self) -> bool:
        """Whether the alarm has sent a message to its topic."""
        return "Messages" in self._sqs.receive_message(QueueUrl=self._queue, WaitTimeSeconds=2)


def metric_sum(home: FirehoseHome, stream: str, metric: str) -> float:
    """The sum of all points of a metric, also of those in the future, to which the test has moved the clock."""
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


def loss_in_log(home: FirehoseHome, stream: str) -> tuple[int, int]:
    """Records and bytes that the stream's log says were lost."""
    pages = home.server.emulator.client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/{stream}")
    texts = [json.loads(event["message"])["message"] for page in pages for event in page["events"]]
    lost = [found for text in texts if (found := re.match(r"LOST (\d+) records, (\d+) bytes", text))]
    return sum(int(one[1]) for one in lost), sum(int(one[2]) for one in lost)


class Partners:
    """Two streams of the home, and the partners that send to them while the clock goes on."""

    def __init__(self, home: FirehoseHome, rng: random.Random, names: list[str], folder: Path) -> None:
        self._home, self._rng, self._folder = home, rng, folder
        self._client = home.server.client("firehose", config=ONE_TRY)
        self.streams = {name: home.stream(name, seconds=60) for name in names}
        self.sent: dict[str, list[Event]] = {name: [] for name in names}

    def send(self) -> None:
        """Some events to each stream."""
        for name in self.sent:
            made = events(self._rng.randrange(2**32), self._rng.randint(1, 300))
            send(self._client, name, self._folder / name, made)
            self.sent[name] += made

    def pass_time(self, seconds: float) -> float:
        """Move Firehose's clock on, by which it delivers and reports; returns ``seconds``."""
        self._home.clock[0] += seconds
        for stream in self.streams.values():
            stream.tick()
        self._home.firehose.reporter.report()
        return seconds

    def acknowledged(self, name: str) -> Counter[str]:
        """Ids of the events that Firehose has taken."""
        return Counter((self._folder / name).read_text().split())


@fault(Fault.S3_DOWN_A_DAY)
def test_s3_is_down_for_more_than_a_day(home: FirehoseHome, seed: int, tmp_path: Path) -> None:
    rng, names = random.Random(seed), [f"down-{seed}-{which}" for which in "ab"]
    partners, alarm = Partners(home, rng, names, tmp_path), Alarm(home.server, names[0])
    home.proxy.plan = Plan(rng, {CUT: 1.0})
    began = time.time()
    partners.send()
    seconds = 0.0
    while (alarmed := alarm.state() == "ALARM") is False and seconds < 1200:
        seconds += partners.pass_time(rng.uniform(30, 60))
    assert alarmed
    # Firehose's clock also goes on by itself while the test works.
    assert seconds + time.time() - began > 900, "not before 15 minutes"
    assert seconds <= 960, "15 minutes, give or take the minute between two reports"
    assert alarm.has_told()
    while seconds < RETRY_SECONDS + 3600:
        partners.send()
        seconds += partners.pass_time(rng.uniform(1800, 7200))
    home.proxy.plan = None  # S3 is back
    partners.pass_time(120)
    for name in names:
        assert_loss_is_counted(home, partners, name)


def assert_loss_is_counted(home: FirehoseHome, partners: Partners, name: str) -> None:
    """The events that a stream lost are only those that waited too long, and an operator finds their exact number:
    in the stream's state, in its log, in the metrics."""
    stream, ledger, landed = partners.streams[name], partners.acknowledged(name), home.landed(name)
    assert stream.pending() == 0
    missing = ledger - landed
    assert landed <= ledger, "nothing twice"
    assert missing, "what waited for more than 24 hours is lost"
    assert landed, "what waited for less is not"
    size = {event.event_id: len(event.data) for event in partners.sent[name]}
    lost = (len(missing), sum(size[event_id] for event_id in missing))
    assert (stream.lost()["records"], stream.lost()["bytes"]) == lost
    assert loss_in_log(home, name) == lost
    incoming, delivered = (metric_sum(home, name, one) for one in ("IncomingRecords", "DeliveryToS3.Records"))
    assert incoming - delivered == len(missing)
