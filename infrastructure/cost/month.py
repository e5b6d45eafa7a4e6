"""What the lines of a bill are computed from: the resources of an environment, and their usage in a month."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from infrastructure.cfn.intrinsics import outline
from infrastructure.cost.resources import Resource
from infrastructure.cost.usage import HOURS_A_MONTH, Buffer, Load, Usage


@dataclass(frozen=True)
class Month:
    """A month of an environment under a load."""

    resources: Sequence[Resource]
    usage: Usage

    @classmethod
    def of(cls, resources: Sequence[Resource], load: Load) -> Month:
        """The month of a load; the delivery stream's buffering determines how many objects land."""
        [stream] = (one for one in resources if one.type == "AWS::KinesisFirehose::DeliveryStream")
        hints = stream.properties["ExtendedS3DestinationConfiguration"]["BufferingHints"]
        return cls(resources, Usage(load, Buffer(float(hints["SizeInMBs"]), float(hints["IntervalInSeconds"]))))

    @property
    def hours(self) -> float:
        """The hours of the month during which the lake exists."""
        return self.usage.load.hours

    @property
    def share(self) -> float:
        """The share of the month during which the lake exists."""
        return self.hours / HOURS_A_MONTH

    @property
    def stops_nightly(self) -> bool:
        """Whether a schedule stops the database."""
        schedules = (one for one in self.resources if one.type == "AWS::Scheduler::Schedule")
        return any("rds:stopDBInstance" in json.dumps(one.properties) for one in schedules)

    def is_polled(self, queue: Resource) -> bool:
        """Whether a Lambda function polls the queue."""
        return any(
            one.type == "AWS::Lambda::EventSourceMapping"
            and one.properties["EventSourceArn"] == outline(queue.name, "Arn")
            for one in self.resources
        )
