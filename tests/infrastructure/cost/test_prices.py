from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest

from infrastructure.cost.prices import FILE, PriceError, read_prices

PRICES = read_prices()


@pytest.mark.parametrize("name", PRICES.prices)
def test_a_price_says_where_it_can_be_checked_and_what_it_rests_on(name: str) -> None:
    price = PRICES.prices[name]
    assert re.fullmatch(r"https://aws\.amazon\.com/[a-z0-9-]+(/[a-z]+)?/pricing/", price.page)
    assert price.usd > 0
    assert price.per >= 1
    assert price.seen
    assert price.verified != price.seen.startswith("not seen here: ")
    assert date.fromisoformat(price.date) <= date.today()  # noqa: DTZ011 (a day is exact enough)


def test_a_quantity_is_multiplied_and_divided() -> None:
    assert PRICES.usd("s3.put", 43_800, "request") == pytest.approx(0.219)  # 43.8 thousands at half a cent
    assert PRICES.usd("kms.key", 1, "month") == 1.0


def test_a_quantity_in_another_unit_is_refused() -> None:
    with pytest.raises(PriceError, match=r"glue\.dpu is a price for a DPU-hour, not for a hour"):
        PRICES.usd("glue.dpu", 1, "hour")


def test_a_missing_price_is_named() -> None:
    with pytest.raises(PriceError, match=r"prices\.json has no price rds\.mysql\.db\.x9\.huge"):
        PRICES.usd("rds.mysql.db.x9.huge", 1, "hour")


def test_an_unknown_unit_in_the_file_is_refused(tmp_path: Path) -> None:
    content = json.loads(FILE.read_text())
    content["prices"]["glue.dpu"]["unit"] = "DPU-minute"
    changed = tmp_path / "prices.json"
    changed.write_text(json.dumps(content))
    with pytest.raises(PriceError, match=r"glue\.dpu: unknown unit 'DPU-minute'"):
        read_prices(changed)
