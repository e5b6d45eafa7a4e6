"""The demo's audience: more of it each month and each day, in evenings and at weekends; trailers before purchases."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.commands import audience, history

MONTH, EVENTS = "2026-10", 20_000
EASTERN_STANDARD_TIME = timedelta(hours=-5)


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return [json.loads(event.data) for _, batch in history.objects(MONTH, EVENTS, 1, "events") for event in batch]


@pytest.fixture(scope="module")
def times(events: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(event["timestamp"]) for event in events]


@given(month=st.dates(date(1970, 1, 1), date(9999, 11, 30)).map("{:%Y-%m}".format), events=st.integers(1, 500))
def test_times_are_in_order_and_in_their_month(month: str, events: int) -> None:
    found = audience.times(month, events, Random(1))
    assert len(found) == events
    assert found == sorted(found)
    assert {f"{datetime.fromtimestamp(time, UTC):%Y-%m}" for time in found} == {month}


def test_times_are_those_of_partners_in_the_east(times: list[datetime]) -> None:
    assert {time.utcoffset() for time in times} == {EASTERN_STANDARD_TIME}


def test_every_day_has_events_and_no_hour_has_many(times: list[datetime]) -> None:
    assert set(Counter(time.astimezone(UTC).day for time in times)) == set(range(1, 32))
    busiest = max(Counter(f"{time:%d %H}" for time in times).values())
    assert busiest < EVENTS / 100


def test_evenings_are_busy_and_nights_quiet(times: list[datetime]) -> None:
    by_hour = Counter(time.hour for time in times)
    assert [hour for hour, _ in by_hour.most_common(4)] == [20, 21, 19, 22]
    assert 0.44 < sum(by_hour[hour] for hour in range(18, 23)) / EVENTS < 0.50
    assert sum(by_hour[hour] for hour in range(2, 7)) / EVENTS < 0.05
    assert len(by_hour) == 24


def test_weekends_are_busier(times: list[datetime]) -> None:
    days = Counter((date(2026, 10, 1) + timedelta(n)).weekday() for n in range(31))
    per_day = {day: count / days[day] for day, count in Counter(time.weekday() for time in times).items()}
    friday, saturday, sunday = per_day.pop(4), per_day.pop(5), per_day.pop(6)
    assert min(saturday, sunday) > friday > 1.2 * max(per_day.values())


def test_the_month_rises(times: list[datetime]) -> None:
    """Whole weeks are compared, as weekdays differ: the last 14 days with the first 14."""
    days = [time.astimezone(UTC).day for time in times]
    assert 1.03 < sum(day > 17 for day in days) / sum(day <= 14 for day in days) < 1.10


def test_months_rise() -> None:
    assert audience.sizes(20_000, 3) == [16_200, 18_000, 20_000]
    assert audience.sizes(20_000, 6)[3:] == audience.sizes(20_000, 3)
    assert audience.sizes(1, 40) == [1] * 40


def test_who_rents_or_buys_has_seen_the_trailer_before(events: list[dict[str, Any]]) -> None:
    seen: Counter[tuple[object, ...]] = Counter()
    unseen = purchases = 0
    for event in events:
        viewing = tuple(event[name] for name in ("film_id", "distributor", "platform", "state"))
        if event["eventType"] == "trailer":
            seen[viewing] += 1
        else:
            purchases += 1
            unseen += not seen[viewing]
            seen[viewing] -= bool(seen[viewing])
    assert 0.38 < purchases / len(events) < 0.42
    assert unseen <= 5  # only the month's first purchases, whose trailers came in the month before


def test_purchases_keep_their_own_time_and_id(events: list[dict[str, Any]], times: list[datetime]) -> None:
    assert times == sorted(times)
    assert len({event["event_id"] for event in events}) == EVENTS
    assert all(
        list(event) == ["timestamp", "eventType", "film_id", "distributor", "platform", "state", "event_id"]
        for event in events
    )


def test_purchases_do_not_change_the_shares(events: list[dict[str, Any]]) -> None:
    bought = [event for event in events if event["eventType"] != "trailer"]
    share = Counter(event["state"] for event in bought)["California"] / len(bought)
    assert share == pytest.approx(39_538_223 / 330_759_736, abs=0.01)
