"""Firehose refuses records, loses its replies, finds S3 slow, or its own disk full."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.engines.waiting import wait_until
from tests.faults.catalogue import Fault, fault
from tests.faults.disk import full_disk
from tests.faults.firehose_home import ONE_TRY, FirehoseHome, events, send, sender
from tests.glue.lake import TestLake
from tests.support.aws_services import LakeServer, root_client
from tests.support.faulty_proxy import REPLY_LOST, UNAVAILABLE, Plan, faulty_proxy

pytestmark = pytest.mark.services
FAILURES = ("ServiceUnavailableException", "InternalFailure")


@fault(Fault.PARTIAL_FAILURE)
def test_put_record_batch_fails_in_part(home: FirehoseHome, seed: int, tmp_path: Path) -> None:
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
            try:
                return self._client.put_record_batch(**call)
            except ClientError:  # the whole call, for example because IAM has not answered in time on a busy machine
                refused.append(len(call["Records"]))
                raise

    made = events(seed, rng.randint(500, 3000))
    try:
        summary = send(Client(), name, tmp_path / "ledger", made, threads=rng.randint(1, 4))
    finally:
        home.refuse.clear()
    wait_until(lambda: stream.pending() == 0, 60, "not everything was delivered")
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
            "ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord"}]},
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
def test_the_disk_of_firehose_is_full(home: FirehoseHome, seed: int, tmp_path: Path) -> None:
    rng, name = random.Random(seed), f"full-{seed}"
    stream = home.stream(name, seconds=60)
    client = home.server.client("firehose", config=ONE_TRY)
    made = events(seed, rng.randint(1000, 3000))
    first = rng.randint(1, 300)
    with sender(client, name, tmp_path / "ledger", threads=rng.randint(1, 4)) as running:
        running.send(made[:first])
        wait_until(lambda: running.summary.acknowledged == first, 60, "the first records were not acknowledged")
        with full_disk(rng.randint(60_000, 100_000)):  # of the buffer, which is a file
            sending = threading.Thread(target=running.send, args=(made[first:],))  # it blocks while nothing is taken
            sending.start()
            wait_until(lambda: running.summary.failed_attempts > 0, 60, "nothing was refused")
        sending.join()
    home.clock[0] += 60
    wait_until(lambda: (stream.tick(), stream.pending())[1] == 0, 60, "not everything was delivered")
    ledger = (tmp_path / "ledger").read_text().split()
    landed = home.landed(name)
    assert Counter(ledger) == Counter(event.event_id for event in made)
    assert set(landed) == set(ledger)
    assert landed.total() - len(landed) <= running.summary.failed_attempts, "only what was refused may be there twice"


@fault(Fault.THROTTLING)
def test_s3_answers_503_to_firehose(home: FirehoseHome, seed: int, tmp_path: Path) -> None:
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
