"""``make redrive``: send the CSV objects that could not be converted back to their queue, once their cause is mended.

Works on the lake that LAKE_ENVIRONMENT names, through the AWS clients' own environment; without it on the home, as its
developer. Messages go one by one, sent before they are deleted: a kill in between doubles a notification, which is
harmless, and loses none. (SQS's own StartMessageMoveTask would do on AWS; the emulator does not know it.)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from datalake.names import Lake
from local.commands.lifecycle import chosen_lake
from local.settings import Settings

HIDDEN_SECONDS = 60  # from other readers, while a message is being moved
WAIT_SECONDS = 2  # a long poll asks all of SQS's servers, a short one only some


def redrive(sqs: Any, lake: Lake) -> Iterator[list[str]]:
    """Move every dead letter to the queue it came from; yields, when one is moved, the objects that it names.

    Each is moved once: one that fails again at once stays in the queue of dead letters.
    """
    dead = sqs.get_queue_url(QueueName=lake.csv_dead_letter_queue)["QueueUrl"]
    queue = sqs.get_queue_url(QueueName=lake.csv_queue)["QueueUrl"]
    moved: set[str] = set()
    while True:
        found = sqs.receive_message(
            QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=HIDDEN_SECONDS, WaitTimeSeconds=WAIT_SECONDS
        ).get("Messages", [])
        for message in (one for one in found if one["MessageId"] not in moved):
            moved.add(sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])["MessageId"])
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
            yield objects(message["Body"])
        if not found:
            return


def objects(body: str) -> list[str]:
    """The objects that an S3 notification names, for people; or the beginning of what is no notification."""
    try:
        records = [record["s3"] for record in json.loads(body)["Records"]]
        return [f"s3://{one['bucket']['name']}/{unquote_plus(one['object']['key'])}" for one in records]
    except (ValueError, KeyError, TypeError):
        return [f"no S3 notification: {body[:100]!r}"]


def main(settings: Settings, _: argparse.Namespace) -> int:
    """Redrive and print what was moved; 1 when it stopped early."""
    lake = chosen_lake(settings)
    number = 0
    try:
        for named in redrive(boto3.Session().client("sqs"), lake):
            number += 1
            print("\n".join(named), flush=True)
    except (BotoCoreError, ClientError) as error:
        print(f"error: {number} messages were sent back, then: {error}", file=sys.stderr)
        return 1
    if number:
        print(f"{number} {'messages' if number > 1 else 'message'} sent back to {lake.csv_queue}")
    else:
        print(f"{lake.csv_dead_letter_queue} is empty")
    return 0
