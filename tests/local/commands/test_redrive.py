"""``make redrive``: what it moves, what it says, and what it leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lake_airflow.defaults import LAKE
from local.commands import cli, redrive
from tests.support.aws_services import Emulator
from tests.support.clean_zone import notification

pytestmark = pytest.mark.services


@pytest.fixture
def queues(lake_services: Emulator, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str, str]:
    """A client, the queue of CSV objects and that of dead letters."""
    monkeypatch.setattr(redrive, "WAIT_SECONDS", 0)
    sqs = lake_services.client("sqs")
    dead = sqs.create_queue(QueueName=LAKE.csv_dead_letter_queue)["QueueUrl"]
    sqs.purge_queue(QueueUrl=dead)
    return sqs, sqs.get_queue_url(QueueName=LAKE.csv_queue)["QueueUrl"], dead


def bodies(sqs: Any, queue: str) -> list[str]:
    found = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in messages]
    return sorted(found)


def test_every_dead_letter_goes_back_and_is_named(
    queues: tuple[Any, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    sqs, queue, dead = queues
    sent = [json.dumps(notification("b", f"dms/sakila/film/LOAD {number:08X}.csv")) for number in range(1, 24)]
    sent.append("rubbish")
    for body in sent:
        sqs.send_message(QueueUrl=dead, MessageBody=body)
    assert cli.main(["redrive"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"24 messages sent back to {LAKE.csv_queue}"
    assert "s3://b/dms/sakila/film/LOAD 0000000A.csv" in printed
    assert "no S3 notification: 'rubbish'" in printed
    assert bodies(sqs, queue) == sorted(sent)
    assert bodies(sqs, dead) == []


def test_an_empty_queue_is_said_to_be_empty(queues: tuple[Any, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["redrive"]) == 0
    assert capsys.readouterr().out == f"{LAKE.csv_dead_letter_queue} is empty\n"


def test_a_message_that_could_not_be_sent_stays(queues: tuple[Any, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent first, deleted afterwards: a failure in between loses nothing."""
    sqs, queue, dead = queues
    monkeypatch.setattr(redrive, "HIDDEN_SECONDS", 0)
    for body in ("one", "two"):
        sqs.send_message(QueueUrl=dead, MessageBody=body)
    moved = redrive.redrive(sqs, LAKE)
    next(moved)
    sqs.delete_queue(QueueUrl=queue)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        next(moved)
    sqs.create_queue(QueueName=LAKE.csv_queue)
    assert len(bodies(sqs, dead)) == 1


def test_a_lake_that_is_not_there_is_an_error(queues: tuple[Any, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    sqs, _, dead = queues
    sqs.delete_queue(QueueUrl=dead)
    assert cli.main(["redrive"]) == 1
    assert "error: 0 messages were sent back, then: " in capsys.readouterr().err


def test_a_message_that_comes_back_at_once_is_not_sent_again(queues: tuple[Any, str, str]) -> None:
    sqs, queue, dead = queues
    policy = json.dumps({"deadLetterTargetArn": _arn(sqs, dead), "maxReceiveCount": "1"})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy})
    sqs.send_message(QueueUrl=dead, MessageBody="poison")
    moved = redrive.redrive(sqs, LAKE)
    assert next(moved) == ["no S3 notification: 'poison'"]
    assert sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
    assert not sqs.receive_message(QueueUrl=queue).get("Messages")  # which moves it to the dead letters again
    assert list(moved) == []


def _arn(sqs: Any, url: str) -> str:
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])
