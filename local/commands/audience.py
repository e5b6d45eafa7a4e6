"""When the demo's audience watches and what it does next: what a template of the Kinesis Data Generator cannot say.

The template says which films, states, devices and distributors (``TEMPLATE``). All shares are invented but the states':
their weights are the residents that the U.S. Census Bureau counted on 1 April 2020. Whole numbers and a seeded
generator decide everything, so that each machine draws the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from random import Random

from kdg.generator import Event
from kdg.template import EVENTS

TEMPLATE = EVENTS.with_name("demo.template.json")
# Hours and weekdays are those of US Eastern Standard Time, all year: no other zone has as many people.
ZONE = timezone(timedelta(hours=-5))
BY_HOUR = (6, 3, 2, 1, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 7, 8, 9, 11, 14, 18, 20, 19, 15, 10)
BY_WEEKDAY = (8, 8, 8, 9, 12, 15, 14)  # Monday to Sunday
RISE = 10  # each month has RISE / (RISE - 1) times the audience of the month before
TRAILERS_IN_MIND = 40  # who rents or buys has seen one of the latest trailers


def sizes(newest: int, months: int) -> list[int]:
    """The numbers of events of some months in a row, of which the newest has ``newest``; at least one each."""
    return [max(1, newest * (RISE - 1) ** age // RISE**age) for age in reversed(range(months))]


def times(month: str, events: int, chance: Random) -> list[int]:
    """When a month's events happen (epoch seconds, in order): evenings, weekends, and more from day to day."""
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    end = (start + timedelta(days=31)).replace(day=1)
    count = (end - start) // timedelta(hours=1)
    hours = range(int(start.timestamp()), int(end.timestamp()), 3600)
    weights = []
    for passed, hour in enumerate(hours):
        local = datetime.fromtimestamp(hour, ZONE)
        weights.append(BY_HOUR[local.hour] * BY_WEEKDAY[local.weekday()] * ((RISE - 1) * count + passed))
    return sorted(hour + chance.randrange(3600) for hour in chance.choices(hours, weights, k=events))


def purchases_after_trailers(events: Iterable[Event], chance: Random) -> Iterator[Event]:
    """The same events, but who rents or buys a film has just seen its trailer: same state, platform and distributor.

    Each trailer leads to one purchase at most. Shares do not change, as a purchase takes everything from its trailer.
    """
    seen: deque[bytes] = deque(maxlen=TRAILERS_IN_MIND)
    for event in events:
        # the template writes timestamp and eventType first, and the generator the event's id last
        time, kind, rest = event.data.split(b",", 2)
        viewing, own_id = rest.rsplit(b",", 1)
        if kind == b'"eventType":"trailer"':
            seen.append(viewing)
        elif seen:
            seen.rotate(chance.randrange(len(seen)))
            event = Event(event.event_id, b",".join((time, kind, seen.pop(), own_id)))  # noqa: PLW2901
        yield event
