"""A queue that is subscribed to the alarm topic, as a person's address is."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from local.engines.waiting import wait_until


class AlarmListener:
    """Hears what is published from now on.

    Args:
        sns, sqs: clients that may subscribe and make a queue.
        topic: ARN of the topic.
    """

    def __init__(self, sns: Any, sqs: Any, topic: str) -> None:
        self._sqs = sqs
        self._queue = sqs.create_queue(QueueName=f"listener-{uuid4()}")["QueueUrl"]
        described = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        arn = described["Attributes"]["QueueArn"]
        # As SNS requires (Amazon SNS Developer Guide, "Subscribing an Amazon SQS queue to an Amazon SNS topic")
        allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        allow |= {"Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": policy})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        self._heard: list[dict[str, str]] = []

    def hear(self, count: int) -> list[dict[str, str]]:
        """All messages until now, once there are ``count`` of them, each with its Subject and Message."""

        def enough() -> bool:
            while letters := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
                for letter in letters:
                    self._heard.append(json.loads(letter["Body"]))
                    self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=letter["ReceiptHandle"])
            return len(self._heard) >= count

        wait_until(enough, 120, f"not {count} messages: {self._heard}", 0.5)
        return self._heard
