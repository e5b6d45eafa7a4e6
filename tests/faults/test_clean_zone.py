"""Faults 1 to 6: notifications that come twice, late or never, and a Lambda that dies, between CSV and Parquet."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import csv_to_parquet
from lake_airflow import replication
from lake_airflow.operators.s3 import CsvConvertedSensor
from local.commands import redrive
from tests.faults.catalogue import Fault, fault
from tests.faults.workers import AFTER_PUBLISH, BEFORE_PUBLISH, BEFORE_READ, Worker, worker
from tests.support.aws_services import Emulator, wait_until
from tests.support.clean_zone import (
    KEY,
    LAKE,
    PARQUET,
    Deployed,
    Zone,
    categories,
    function_environment,
    next_second,
    notification,
    sequencers,
)

pytestmark = pytest.mark.services

GLUE = {"DatabaseName": "sakila", "Name": "category"}


def queued(*bodies: dict[str, Any] | str) -> dict[str, Any]:
    """A batch of SQS messages m0, m1, ..."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {
        "Records": [
            {"messageId": f"m{number}", "eventSource": "aws:sqs", "body": text} for number, text in enumerate(texts)
        ]
    }


ALL_CONVERTED: dict[str, Any] = {"batchItemFailures": []}


@fault(Fault.DUPLICATE_NOTIFICATION)
def test_an_event_that_comes_often_and_at_once_gives_one_object_with_the_same_bytes(
    deployed: Deployed, seed: int
) -> None:
    rng, zone = random.Random(seed), deployed.zone
    rows = range(rng.randrange(1, 3000))
    zone.put(categories(rows))
    wait_until(lambda: zone.parquet() is not None, what="the Parquet object")
    deployed.settle()
    first = zone.parquet()
    sequencer = zone.s3.head_object(Bucket=zone.clean, Key=PARQUET)["Metadata"]["source-sequencer"]
    event = notification(zone.landing, sequencer=rng.choice([sequencer, sequencer + "0", ""]))
    copies = rng.choice([1, 2, 10])
    together = {"Records": event["Records"] * rng.randrange(1, 4)}
    with ThreadPoolExecutor(copies) as pool:
        list(pool.map(deployed.send, [together] * copies))
    deployed.settle()
    assert zone.keys(zone.clean) == [PARQUET]
    assert zone.parquet() == first
    assert zone.ids() == list(rows)


@fault(Fault.OLD_NOTIFICATION_LAST)
def test_events_of_several_versions_in_any_order_end_with_the_newest_also_when_a_slow_worker_dies(
    zone: Zone, emulator: Emulator, seed: int
) -> None:
    """The slow worker has read an old version and is killed as soon as it has written: nobody mends what it wrote."""
    rng = random.Random(seed)
    versions = [range(rng.randrange(1, 500)) for _ in range(rng.randrange(3, 6))]
    events = [notification(zone.landing, sequencer=one) for one in sequencers(rng, len(versions))]
    slow = rng.randrange(len(versions) - 1)
    environment = function_environment(emulator, zone.clean)
    equal = rng.choice([None, *range(slow)])
    if equal is not None:  # the table is again as it was before the version that the slow worker has read
        versions[-1] = versions[equal]
    with worker_of_version(zone, environment, versions, events, slow, rng) as dying:
        for version in versions[slow + 1 :]:
            newest = zone.put(categories(version))
        others = [event for number, event in enumerate(events) if number != slow] * rng.choice([1, 2])
        rng.shuffle(others)
        assert csv_to_parquet.handler(queued(*others), None) == ALL_CONVERTED
        dying.go()  # writes, and is held again when S3 has answered
        dying.held()
        dying.kill()
    assert zone.made_of() == newest
    assert zone.ids() == list(versions[-1])
    first = zone.parquet()
    assert csv_to_parquet.handler(queued(events[slow], *others), None) == ALL_CONVERTED
    assert zone.parquet() == first
    assert zone.keys(zone.clean) == [PARQUET]


@contextmanager
def worker_of_version(
    zone: Zone,
    environment: dict[str, str],
    versions: list[range],
    events: list[dict[str, Any]],
    slow: int,
    rng: random.Random,
) -> Iterator[Worker]:
    """A worker that has read version ``slow`` and is about to write; some versions before it may be published."""
    for number in range(slow + 1):
        zone.put(categories(versions[number]))
        if number < slow and rng.random() < 0.5:
            csv_to_parquet.handler(queued(events[number]), None)
    with worker(environment, queued(events[slow]), BEFORE_PUBLISH, AFTER_PUBLISH) as held:
        held.held()
        yield held


@fault(Fault.OLD_NOTIFICATION_LAST)
def test_a_slow_worker_does_not_take_a_later_version_with_the_same_bytes_for_the_one_it_replaces(
    zone: Zone, emulator: Emulator, seed: int
) -> None:
    rng = random.Random(seed)
    same, other = (categories(range(start, start + rng.randrange(1, 500))) for start in (1, 1000))
    first, second, third = (notification(zone.landing, sequencer=one) for one in sequencers(rng, 3))
    zone.put(same)
    assert csv_to_parquet.handler(queued(first), None) == ALL_CONVERTED
    zone.put(other)
    with worker(function_environment(emulator, zone.clean), queued(second), BEFORE_PUBLISH, AFTER_PUBLISH) as slow:
        slow.held()
        newest = zone.put(same)
        assert csv_to_parquet.handler(queued(third), None) == ALL_CONVERTED
        published = zone.parquet()
        slow.go()
        slow.held()
        slow.kill()
    assert zone.made_of() == newest
    assert zone.parquet() == published


@fault(Fault.OLD_NOTIFICATION_LAST)
def test_two_workers_at_once_on_an_object_that_is_replaced_again_and_again_leave_the_newest(
    zone: Zone, seed: int
) -> None:
    rng = random.Random(seed)
    versions = [range(rng.randrange(1, 2000)) for _ in range(rng.randrange(2, 5))]
    events = [notification(zone.landing, sequencer=one) for one in sequencers(rng, len(versions))]
    answers = []
    with ThreadPoolExecutor(4) as pool:
        for version, event in zip(versions, events, strict=True):
            newest = zone.put(categories(version))
            answers += [pool.submit(csv_to_parquet.handler, queued(event), None) for _ in range(2)]
            time.sleep(rng.uniform(0, 0.1))  # where in its work the next version meets them
    assert [answer.result() for answer in answers] == [ALL_CONVERTED] * len(answers)
    assert zone.made_of() == newest
    assert zone.ids() == list(versions[-1])


@fault(Fault.LOST_NOTIFICATION)
def test_csv_objects_whose_event_was_lost_are_found_by_the_sweep(deployed: Deployed, seed: int) -> None:
    rng, zone = random.Random(seed), deployed.zone
    rows = {f"dms/sakila/category/LOAD{number:08X}.csv": number for number in range(1, rng.randrange(3, 8))}
    lost = rng.sample(sorted(rows), rng.randrange(1, len(rows)))
    began = datetime.now(UTC).isoformat()
    for key, number in rows.items():
        if key not in lost:
            zone.put(categories([number]), key)
    deployed.silence()
    for key in lost:
        zone.put(categories([rows[key]]), key)
    sweep(began)
    assert zone.ids() == sorted(rows.values())
    assert deployed.depth("CsvDeadLetterQueue") == 0


def sweep(began: str) -> None:
    """``wait_for_parquet`` of replicate_sakila, impatient."""
    CsvConvertedSensor(task_id="sweep", started=began, poke_interval=0.1, resend_after=1, timeout=60).execute({})


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
        wait_until(lambda: bool(self.seen or self.errors), what="the first read")
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
    csv_to_parquet.handler(queued(events[0]), None)
    zone.put(categories(new))
    environment = function_environment(emulator, zone.clean)
    moment = rng.choice([BEFORE_READ, BEFORE_PUBLISH, ""])
    with Reader(zone) as reader:
        with worker(environment, queued(events[1]), *([moment] if moment else [])) as dying:
            if moment:
                dying.held()
            else:
                time.sleep(rng.uniform(0, 0.5))  # anywhere
            dying.kill()
        published = zone.ids() == list(new)
        assert published is False or not moment
        assert zone.ids() == list(new if published else old)
        assert csv_to_parquet.handler(queued(events[1]), None) == ALL_CONVERTED
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
    with worker(function_environment(emulator, zone.clean), queued(event), AFTER_PUBLISH) as dying:
        dying.held()
        dying.kill()
    published = zone.parquet()
    assert published is not None
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_table(**GLUE)
    for _ in range(rng.randrange(1, 3)):
        assert csv_to_parquet.handler(queued(event), None) == ALL_CONVERTED
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
    wait_until(lambda: zone.ids() == good, what="the good objects of the batch")
    wait_until(lambda: deployed.depth("CsvDeadLetterQueue") == 1, what="the dead letter")
    assert alarm(deployed) == "ALARM"
    assert mails() == ["ALARM"]

    zone.put(categories([keys.index(poison)]), poison)  # mended; S3 is silent, so the redrive alone can bring it
    operator = deployed.home.server.session(deployed.outputs["OperatorRole"]).client("sqs")
    assert list(redrive.redrive(operator, LAKE)) == [[f"s3://{zone.landing}/{poison}"]]
    wait_until(lambda: zone.ids() == list(range(5)), what="the rows of the dead letter")
    deployed.settle()
    assert deployed.depth("CsvDeadLetterQueue") == 0
    assert list(redrive.redrive(operator, LAKE)) == []
    wait_until(lambda: alarm(deployed, datetime.now(UTC)) == "OK", what="the end of the alarm")
    assert mails() == ["OK"]


def alarm(deployed: Deployed, now: datetime | None = None) -> str:
    """The alarm's state after the home has told CloudWatch; as of 57 s ago, so that its minute ends soon."""
    deployed.metrics.tell(now or datetime.now(UTC) - timedelta(seconds=57))
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


@fault(Fault.OLD_NOTIFICATION_LAST)
def test_a_late_event_of_a_file_that_a_shorter_reload_left_over_brings_no_stale_rows(
    deployed: Deployed, seed: int
) -> None:
    rng, zone = random.Random(seed), deployed.zone
    names = [f"LOAD{number:08X}.csv" for number in range(1, rng.randrange(4, 20))]
    kept = rng.randrange(1, len(names))
    began = datetime.now(UTC).isoformat()
    for number, name in enumerate(names):
        zone.put(categories([number]), f"dms/sakila/category/{name}")
    sweep(began)
    assert zone.ids() == list(range(len(names)))
    next_second()
    again = datetime.now(UTC).isoformat()
    for number, name in enumerate(names[:kept]):
        zone.put(categories([1000 + number]), f"dms/sakila/category/{name}")
    sweep(again)
    replication.remove_superseded(again)
    late = [notification(zone.landing, f"dms/sakila/category/{name}", "F") for name in names[kept:]]
    deployed.send(*rng.sample(late, len(late)))
    deployed.settle()
    assert zone.ids() == [1000 + number for number in range(kept)]
    assert deployed.depth("CsvDeadLetterQueue") == 0
    assert zone.keys(zone.landing) == [f"dms/sakila/category/{name}" for name in names[:kept]]
    assert KEY in zone.keys(zone.landing)
