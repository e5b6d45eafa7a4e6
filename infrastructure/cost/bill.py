"""A month's bill: the priced lines of every resource. A resource without a line must be listed as free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from infrastructure.cost.lines import FREE, PRICED, UnknownResource
from infrastructure.cost.month import Month
from infrastructure.cost.prices import PriceList
from infrastructure.cost.resources import Resource


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
