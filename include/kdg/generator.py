"""Generates events from a template. The same seed and run give the same events; each event has a unique id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple
from uuid import UUID

from kdg.helpers import VARIANTS
from kdg.template import Template

UNKNOWN_FILMS = range(1001, 10_000)  # Sakila's films are 1 to 1000
LATE = (3600, 35 * 86_400)  # seconds by which a late event's timestamp is too early: an hour to 35 days


class Event(NamedTuple):
    """An event: its id, and its JSON line including the newline, which the sender leaves to the stream."""

    event_id: str
    data: bytes


@dataclass(frozen=True)
class Faults:
    """Shares (0 to 1) of events that are made faulty on purpose.

    late          the timestamp is an hour to 35 days too early
    duplicate     the next ``take`` returns the same line again
    malformed     the line lacks its closing brace, so it is not JSON; its id can still be read
    unknown_film  Sakila has no film with this film_id
    """

    late: float = 0.0
    duplicate: float = 0.0
    malformed: float = 0.0
    unknown_film: float = 0.0

    def __post_init__(self) -> None:
        for name, share in vars(self).items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be a share from 0 to 1, not {share}")


def event_ids(run_id: UUID, first: int, count: int) -> list[str]:
    """UUIDv5(run_id, n) for ``count`` values of n from ``first``: ``str(uuid.uuid5(run_id, str(n)))``, but faster."""
    base = hashlib.sha1(run_id.bytes, usedforsecurity=False)
    ids = []
    for n in range(first, first + count):
        digest = base.copy()
        digest.update(b"%d" % n)
        h = digest.hexdigest()
        ids.append(f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{VARIANTS[h[16]]}{h[17:20]}-{h[20:32]}")
    return ids


class Generator:
    """An endless series of events. It does not depend on how many are taken at a time."""

    def __init__(self, template: Template, *, seed: int, run_id: UUID, faults: Faults | None = None) -> None:
        if faults and faults.unknown_film and "film_id" not in template.fields:
            raise ValueError("unknown_film needs a template with a field film_id")
        self._template, self._run_id = template, run_id
        self._faults = faults if faults != Faults() else None
        # one random generator for each placeholder of the template
        self._columns = [(draw, Random(f"{seed}/{i}")) for i, draw in enumerate(template.draws)]  # noqa: S311
        self._chance = {name: Random(f"{seed}/{name}") for name in vars(Faults())}  # noqa: S311
        self._made = 0
        self._again: list[Event] = []

    def take(self, times: Sequence[float]) -> list[Event]:
        """The duplicates of the previous take, if any, then one new event for each time (epoch seconds)."""
        if self._faults and self._faults.late:
            times = self._late(times, self._faults.late)
        ids = event_ids(self._run_id, self._made, len(times))
        self._made += len(times)
        columns = [draw(times, rng) for draw, rng in self._columns]
        row = self._template.row
        events = [Event(values[-1], (row % values).encode()) for values in zip(*columns, ids, strict=True)]
        return self._with_faults(events, self._faults) if self._faults else events

    def _late(self, times: Sequence[float], share: float) -> list[float]:
        rng = self._chance["late"]
        return [time - rng.uniform(*LATE) if rng.random() < share else time for time in times]

    def _with_faults(self, events: list[Event], faults: Faults) -> list[Event]:
        for i, event in enumerate(events):
            if self._hits("unknown_film", faults.unknown_film):
                fields = json.loads(event.data)
                fields["film_id"] = self._chance["unknown_film"].choice(UNKNOWN_FILMS)
                event = Event(event.event_id, json.dumps(fields, separators=(",", ":")).encode() + b"\n")  # noqa: PLW2901
            if self._hits("malformed", faults.malformed):
                event = Event(event.event_id, event.data[:-2] + b"\n")  # noqa: PLW2901
            events[i] = event
        repeated = [event for event in events if self._hits("duplicate", faults.duplicate)]
        out, self._again = self._again + events, repeated
        return out

    def _hits(self, fault: str, share: float) -> bool:
        return share > 0 and self._chance[fault].random() < share
