"""AWS's list prices in one region (``prices.json``), each with AWS's page and where the figure was read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("prices.json")
# As AWS counts, GB is 2^30 and TB 2^40 bytes. "month" is one item kept for a month.
UNITS = frozenset({"hour", "month", "GB", "TB", "GB-month", "GB-second", "DPU-hour", "request"})


class PriceError(Exception):
    """A price is missing, or a quantity has another unit than its price."""


@dataclass(frozen=True)
class Price:
    """A list price: ``usd`` for ``per`` units.

    Attributes:
        page: AWS's page with the price.
        seen: where the figure was read on ``date`` (yyyy-mm-dd).
        verified: whether the figure was read; if not, ``seen`` says what it is based on.
    """

    usd: float
    per: float
    unit: str
    page: str
    seen: str
    date: str
    verified: bool


@dataclass(frozen=True)
class PriceList:
    """The prices of one region by name."""

    region: str
    prices: dict[str, Price]

    def usd(self, name: str, quantity: float, unit: str) -> float:
        """What a quantity costs; raises PriceError for an unknown price or unit."""
        price = self.prices.get(name)
        if price is None:
            raise PriceError(f"{FILE.name} has no price {name}: look it up and add it")
        if unit != price.unit:
            raise PriceError(f"{name} is a price for a {price.unit}, not for a {unit}")
        return quantity / price.per * price.usd


def read_prices(file: Path = FILE) -> PriceList:
    """Read the price file; raises PriceError for a unit that the model does not know."""
    content = json.loads(file.read_text(encoding="utf-8"))
    prices = {name: Price(**entry) for name, entry in content["prices"].items()}
    for name, price in prices.items():
        if price.unit not in UNITS:
            raise PriceError(f"{name}: unknown unit {price.unit!r}")
    return PriceList(content["region"], prices)
