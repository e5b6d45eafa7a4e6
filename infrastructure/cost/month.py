"""What the lines of a bill are computed from: the resources of an environment, and their usage in a month."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infrastructure.cfn.intrinsics import PLACEHOLDERS, Resolver, outline
from infrastructure.cfn.template import Json
from infrastructure.cost.usage import HOURS_A_MONTH, Buffer, Load, Usage


@dataclass(frozen=True)
class Resource:
    """A resource that is created, with its properties as far as the parameters determine them."""

    name: str
    type: str
    properties: Json


def resources_of(template: Json, parameters: Mapping[str, str]) -> list[Resource]:
    """Every resource whose condition holds, in the template's order.

    References to resources and pseudo parameters become ``${Name.Attribute}``. Raises KeyError for a parameter that the
    template does not have, TemplateError for what cannot be resolved.
    """
    declared = template.get("Parameters", {})
    if unknown := sorted(parameters.keys() - declared.keys()):
        raise KeyError(f"parameters that the template does not have: {unknown}")
    # no price depends on the parameters without a default (names, code)
    given = {name: str(one.get("Default", name)) for name, one in declared.items()} | dict(parameters)
    resolver = Resolver(template, given, PLACEHOLDERS, outline)
    active = [(name, one) for name, one in template["Resources"].items() if resolver.active(one)]
    return [Resource(name, one["Type"], resolver.value(one.get("Properties", {}))) for name, one in active]


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
