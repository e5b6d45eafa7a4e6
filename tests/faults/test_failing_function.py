"""Faults 4 to 6: the Lambda function that makes Parquet of CSV is killed, or fails every time."""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import csv_to_parquet
from local.commands import redrive
from local.engines.waiting import wait_until
from tests.faults.catalogue import Fault, fault
from tests.faults.conversion import ALL_CONVERTED, sqs_batch
from tests.faults.workers import AFTER_PUBLISH, BEFORE_PUBLISH, BEFORE_READ, worker
from tests.support.aws_services import Emulator
from tests.support.clean_zone import (
    LAKE,
    PARQUET,
    Deployed,
    Zone,
    categories,
    function_environment,
    notification,
    sequencers,
)

pytestmark = pytest.mark.services
GLUE = {"DatabaseName": "sakila", "Name": "category"}


class Reader:
    """Reads a table of the clean zone without pause; ``seen`` are the sets of rows that it found."""

    def __init__(self, zone: Zone) -> None:
        self._zone, self._stop = zone, threading.Event()
        self.seen: list[tuple[int, ...]] = []
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.seen.append(tuple(self._zone.ids()))
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.errors.append(error)

    def __enter__(self) -> Reader:
        self._thread.start()
        wait_until(lambda: bool(self.seen or self.errors), 60, "nothing was read")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@fault(Fault.KILL_BEFORE_PUBLISH)
def test_a_worker_killed_before_it_has_published_leaves_the_old_rows_readable_and_a_retry_completes(
    zone: Zone, emulator: Emulator, seed: int
) -> None:
    rng = random.Random(seed)
    old, new = range(rng.randrange(1, 1000)), range(5000, 5000 + rng.randrange(1, 20_000))
    events = [notification(zone.landing, sequencer=one) for one in sequencers(rng, 2)]
    zone.put(categories(old))
    csv_to_parquet.handler(sqs_batch(events[0]), None)
    zone.put(categories(new))
    environment = function_environment(emulator, zone.clean)
    moment = rng.choice([BEFORE_READ, BEFORE_PUBLISH, ""])
    with Reader(zone) as reader:
        with worker(environment, sqs_batch(events[1]), *([moment] if moment else [])) as dying:
            if moment:
                dying.held()
            else:
                time.sleep(rng.uniform(0, 0.5))  # anywhere
            dying.kill()
        published = zone.ids() == list(new)
        assert published is False or not moment
        assert zone.ids() == list(new if published else old)
        assert csv_to_parquet.handler(sqs_batch(events[1]), None) == ALL_CONVERTED
    assert not reader.errors
    assert set(reader.seen) <= {tuple(old), tuple(new)}, "a torn read"
    assert zone.ids() == list(new)
    assert zone.keys(zone.clean) == [PARQUET]


@fault(Fault.KILL_BEFORE_CATALOG)
def test_a_worker_killed_between_object_and_catalog_declares_the_table_at_its_retry(
    zone: Zone, emulator: Emulator, seed: int
) -> None:
    rng = random.Random(seed)
    glue = emulator.client("glue")
    with suppress(glue.exceptions.EntityNotFoundException):
        glue.delete_table(**GLUE)
    rows = range(rng.randrange(1, 3000))
    event = notification(zone.landing, sequencer=rng.choice([*sequencers(rng, 1), ""]))
    zone.put(categories(rows))
    with worker(function_environment(emulator, zone.clean), sqs_batch(event), AFTER_PUBLISH) as dying:
        dying.held()
        dying.kill()
    published = zone.parquet()
    assert published is not None
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_table(**GLUE)
    for _ in range(rng.randrange(1, 3)):
        assert csv_to_parquet.handler(sqs_batch(event), None) == ALL_CONVERTED
    assert glue.get_table(**GLUE)["Table"]["StorageDescriptor"]["Location"] == f"s3://{zone.clean}/sakila/category/"
    assert zone.keys(zone.clean) == [PARQUET]
    assert zone.parquet() == published


@fault(Fault.RETRIES_EXHAUSTED)
def test_a_csv_that_fails_every_try_sets_off_the_alarm_and_its_rows_come_with_the_redrive(
    deployed: Deployed, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The good ones of its batch do not wait for it."""
    monkeypatch.setattr(redrive, "WAIT_SECONDS", 0)  # the emulator is one server
    rng, zone, sqs = random.Random(seed), deployed.zone, deployed.home.clients("sqs")
    sqs.set_queue_attributes(QueueUrl=deployed.outputs["CsvQueue"], Attributes={"VisibilityTimeout": "2"})
    assert alarm(deployed) == "OK"
    mails = alarm_mails(deployed)
    deployed.silence()
    keys = [f"dms/sakila/category/LOAD{number:08X}.csv" for number in range(1, 6)]
    poison = rng.choice(keys)
    for number, key in enumerate(keys):
        zone.put(categories([number]) if key != poison else "category_id,name,last_update\nnone,,\n", key)
    deployed.send(*(notification(zone.landing, key, one) for key, one in zip(keys, sequencers(rng, 5), strict=True)))
    good = [number for number, key in enumerate(keys) if key != poison]
    wait_until(lambda: zone.ids() == good, 60, "the good objects of the batch were not converted")
    wait_until(lambda: deployed.depth("CsvDeadLetterQueue") == 1, 60, "no dead letter came")
    assert alarm(deployed) == "ALARM"
    assert mails() == ["ALARM"]

    zone.put(categories([keys.index(poison)]), poison)  # mended; S3 is silent, so the redrive alone can bring it
    operator = deployed.home.server.session(deployed.outputs["OperatorRole"]).client("sqs")
    assert list(redrive.redrive(operator, LAKE)) == [[f"s3://{zone.landing}/{poison}"]]
    wait_until(lambda: zone.ids() == list(range(5)), 60, "the rows of the dead letter did not come")
    deployed.settle()
    assert deployed.depth("CsvDeadLetterQueue") == 0
    assert list(redrive.redrive(operator, LAKE)) == []
    wait_until(lambda: alarm(deployed, datetime.now(UTC)) == "OK", 60, "the alarm did not end")
    assert mails() == ["OK"]


def alarm(deployed: Deployed, now: datetime | None = None) -> str:
    """The alarm's state after the home has told CloudWatch; as of 57 s ago, so that its minute ends soon."""
    deployed.metrics.publish(now or datetime.now(UTC) - timedelta(seconds=57))
    found = deployed.home.clients("cloudwatch").describe_alarms(AlarmNames=[LAKE.csv_dead_letters_alarm])
    return str(found["MetricAlarms"][0]["StateValue"])


def alarm_mails(deployed: Deployed) -> Any:
    """Subscribe to the topic of alarms; the function returned takes the states of the alarms that came meanwhile."""
    sqs, sns = deployed.home.clients("sqs"), deployed.home.clients("sns")
    url = sqs.create_queue(QueueName="alarm-mails")["QueueUrl"]
    sqs.purge_queue(QueueUrl=url)
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=deployed.outputs["AlarmTopic"], Protocol="sqs", Endpoint=arn)

    def taken() -> list[str]:
        states = []
        while found := sqs.receive_message(QueueUrl=url).get("Messages"):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
            states.append(json.loads(json.loads(found[0]["Body"])["Message"])["NewStateValue"])
        return states

    return taken
