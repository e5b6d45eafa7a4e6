"""A month's bill: the priced lines of every resource, and their sums by group.

A resource without a line must be listed as free.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from infrastructure.cfn.template import Json
from infrastructure.cost.lines import FREE, PRICED, UnknownResource
from infrastructure.cost.month import Month, Resource, resources_of
from infrastructure.cost.prices import PriceList, read_prices
from infrastructure.cost.usage import Load
from infrastructure.package import parameters_of, render_template

REST = "the rest"
GROUPS = {  # by type of resource
    "AWS::MWAA::Environment": "Airflow",
    "AWS::RDS::DBInstance": "MySQL",
    "AWS::DMS::ReplicationInstance": "DMS",
    "AWS::EC2::VPCEndpoint": "network",
    "AWS::EC2::NatGateway": "network",
    "AWS::KinesisFirehose::DeliveryStream": "Firehose",
    "AWS::Glue::Job": "Glue jobs",
    "AWS::Glue::Crawler": "crawler",
    "AWS::Athena::WorkGroup": "Athena",
    "AWS::S3::Bucket": "S3",
}
NAMES = tuple(dict.fromkeys([*GROUPS.values(), REST]))


@dataclass(frozen=True)
class Line:
    """One line of a month's bill.

    Attributes:
        resource: logical id in the template.
        type: its type.
        what: what of it is billed.
        quantity: how much of it is billed, in ``unit``.
        price: the price's name in prices.json.
        usd: the quantity times the price.
    """

    resource: str
    type: str
    what: str
    quantity: float
    unit: str
    price: str
    usd: float


@dataclass(frozen=True)
class Bill:
    """What an environment costs in a month."""

    month: Month
    prices: PriceList

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every line, in the template's order; raises UnknownResource, and PriceError for a missing price."""
        return tuple(line for resource in self.month.resources for line in self._of(resource))

    @property
    def usd(self) -> float:
        """The sum."""
        return sum(line.usd for line in self.lines)

    def largest(self, count: int = 3) -> list[Line]:
        """The most expensive lines, the most expensive first."""
        return sorted(self.lines, key=lambda line: line.usd, reverse=True)[:count]

    def _of(self, resource: Resource) -> Iterator[Line]:
        if resource.type in FREE:
            return
        if resource.type not in PRICED:
            raise UnknownResource(
                f"{resource.name}: lines.py has neither a line nor a reason why {resource.type} is free"
            )
        for what, price, quantity, unit in PRICED[resource.type](resource, self.month):
            usd = self.prices.usd(price, quantity, unit)
            yield Line(resource.name, resource.type, what, quantity, unit, price, usd)


def by_group(bill: Bill) -> dict[str, float]:
    """USD of each group, in the order of NAMES."""
    sums = dict.fromkeys(NAMES, 0.0)
    for line in bill.lines:
        sums[GROUPS.get(line.type, REST)] += line.usd
    return sums


@cache
def _template() -> Json:
    template: Json = json.loads(render_template())
    return template


def estimate(environment: str, load: Load, parameters: Mapping[str, str] | None = None) -> Bill:
    """The bill of an environment of ``infrastructure/parameters`` under a load; ``parameters`` replace some of its own.

    Raises:
        KeyError: a parameter that the template does not have.
        TemplateError: a template that cannot be resolved.
        UnknownResource: a resource whose cost the model does not know.
        PriceError: a price that is not in prices.json.
    """
    given = parameters_of(environment) | dict(parameters or {})
    return Bill(Month.of(resources_of(_template(), given), load), read_prices())
