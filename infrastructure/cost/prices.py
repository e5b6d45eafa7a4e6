"""What AWS asks: ``prices.json``, one region's list prices, each with its page and where its figure was seen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("prices.json")
# GB and TB are AWS's: 2^30 and 2^40 bytes. A "month" is a thing kept for a month.
UNITS = frozenset({"hour", "month", "GB", "TB", "GB-month", "GB-second", "DPU-hour", "request"})


class PriceError(Exception):
    """A price is missing, or a quantity comes in another unit than its price."""


@dataclass(frozen=True)
class Price:
    """A list price: ``usd`` for ``per`` units.

    Attributes:
        page: AWS's own page of it, to check it.
        seen: where the figure was read on ``date`` (yyyy-mm-dd).
        verified: whether it was read at all; otherwise ``seen`` says what it rests on.
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
    """The price file; raises PriceError for a unit that the model does not know."""
    content = json.loads(file.read_text(encoding="utf-8"))
    prices = {name: Price(**entry) for name, entry in content["prices"].items()}
    for name, price in prices.items():
        if price.unit not in UNITS:
            raise PriceError(f"{name}: unknown unit {price.unit!r}")
    return PriceList(content["region"], prices)
