"""What lands, drawn from a seed: events, bad lines, redelivered batches, repairs, odd keys, at a month's edge."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from datalake.events import EXPECTED
from datalake.json_lines import SEVERAL_VALUES

STREAM, OTHER_STREAM = "sakila-streams-test-events-1-", "sakila-streams-test-partner-b-3-"
FILMS = range(1, 11)  # what film_category holds in these tests
ZONES = [timezone(timedelta(minutes=minutes)) for minutes in (0, 0, 60, -480, 345, 840, -570)]


def month_start(rng: Random) -> datetime:
    """The first moment of a month in UTC, so long ago that all its times are in the past."""
    return datetime(rng.choice((2024, 2025)), rng.randint(1, 12), 1, tzinfo=UTC)


def new_id(rng: Random) -> str:
    """A UUID."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def key(rng: Random, time: datetime, stream: str = STREAM, root: str = "streaming", folder: str = "") -> str:
    """A key as Firehose gives it to a delivery at ``time`` (UTC); each call returns another."""
    return f"{root}/{folder or f'{time:%Y/%m}'}/{stream}{time:%Y-%m-%d-%H-%M-%S}-{new_id(rng)}"


def event(rng: Random, time: datetime, **changes: Any) -> dict[str, Any]:
    """A well-formed event of the hour before ``time``, in any zone; a field changed to None is left out."""
    written = (time - timedelta(seconds=rng.randrange(3600))).astimezone(rng.choice(ZONES))
    fields: dict[str, Any] = {
        "timestamp": written.isoformat(),
        rng.choice(("eventType", "eventtype", "EVENTTYPE")): rng.choice(("rent", "buy", "trailer")),
        "film_id": rng.choice((*FILMS, 999)) if rng.random() < 0.9 else rng.randint(11, 1000),
        "distributor": rng.choice(("youtube", "hulu", "Größe & Söhne")),
        "platform": rng.choice(("ios", "android", "tv")),
        "state": rng.choice(("Utah", "Iowa", "New York")),
        "event_id": new_id(rng) if rng.random() < 0.9 else None,
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def line(one: dict[str, Any]) -> bytes:
    """An event as one line, without its end."""
    return json.dumps(one, ensure_ascii=False).encode()


def body(lines: list[bytes]) -> bytes:
    """Lines as an object's bytes."""
    return b"".join(one + b"\n" for one in lines)


def events(rng: Random, time: datetime, count: int, **changes: Any) -> list[bytes]:
    """``count`` lines of well-formed events."""
    return [line(event(rng, time, **changes)) for _ in range(count)]


# How a producer, a network or a disk spoils a good line, and the reason that must be found.
SPOILED: list[tuple[str, Callable[[dict[str, Any], Random], bytes]]] = [
    (SEVERAL_VALUES, lambda one, rng: line(one) * rng.randint(2, 4)),  # no delimiter
    ("not JSON", lambda one, rng: json.dumps(one)[: rng.randint(1, len(json.dumps(one)) - 1)].encode()),
    ("not JSON", lambda one, _: line(one)[1:]),
    ("not JSON", lambda one, _: line(one | {"film_id": 7}).replace(b'"film_id": 7', b'"film_id": 07')),
    ("not JSON", lambda one, _: line(one | {"rating": float("nan")})),
    ("not UTF-8", lambda one, _: line(one | {"state": "Québec"}).decode().encode("latin-1")),
    ("not a JSON object", lambda one, _: json.dumps([one]).encode()),
    ("not a JSON object", lambda *_: b"null"),
    ("duplicate key", lambda one, _: line(one)[:-1] + b', "FILM_ID": 1}'),
    (EXPECTED["state"], lambda one, _: line(one | {"state": "?"}).replace(b'"?"', b'"\\ud800"')),
    *[(f"missing field: {name}", lambda one, _, name=name: line({n: v for n, v in one.items() if n != name}))
      for name in ("timestamp", "film_id", "distributor", "platform", "state")],
    *[(f"missing field: {name}", lambda one, _, name=name: line(one | {name: None})) for name in ("film_id", "state")],
    *[(EXPECTED[name], lambda one, _, name=name, value=value: line(one | {name: value}))
      for name, value in (
        ("timestamp", "2025-02-30T10:00:00+00:00"), ("timestamp", "2025-02-03 10:00:00"), ("timestamp", 173800000),
        ("film_id", "12abc"), ("film_id", 0), ("film_id", -1), ("film_id", 1.5), ("film_id", 2**31), ("film_id", True),
        ("state", ""), ("platform", ["tv"]), ("event_id", "17"),
    )],
]  # fmt: skip


def spoiled(rng: Random, time: datetime) -> tuple[bytes, str]:
    """A bad line and its reason."""
    reason, spoil = rng.choice(SPOILED)
    return spoil(event(rng, time), rng), reason


@dataclass(frozen=True)
class Landed:
    """An object: its key, its bytes, and how late after the time in its name it can be seen."""

    key: str
    body: bytes
    time: datetime
    late: timedelta

    @property
    def seen(self) -> datetime:
        """When it lands."""
        return self.time + self.late


def world(rng: Random, edge: datetime, objects: int) -> list[Landed]:
    """Objects of two streams within two days of a month's edge, in the order in which they land.

    Besides good events: bad lines, blank ones, objects of bad lines or copies alone, batches delivered again within 60
    hours, whole or in part, ids with another content, repairs, keys that are not Firehose's, objects days late.
    """
    landed: list[Landed] = []

    def land(time: datetime, lines: list[bytes], late: timedelta | None = None, **place: str) -> Landed:
        late = timedelta(seconds=rng.choice((0, 0, 60, 4000, 80000, 200000))) if late is None else late
        ending = rng.choice((b"", b"\n", b"  \n"))
        one = Landed(key(rng, time, **place), body(lines) + ending, time, late)
        landed.append(one)
        return one

    for _ in range(objects):
        time = edge + timedelta(seconds=rng.randint(-2 * 86400, 2 * 86400))
        stream = rng.choice((STREAM, STREAM, OTHER_STREAM))
        lines = [] if rng.random() < 0.1 else events(rng, time, rng.randint(1, 8))
        lines += [spoiled(rng, time)[0] for _ in range(rng.choice((0, 0, 1, 3)))] or ([] if lines else [b"bad"])
        rng.shuffle(lines)
        original = land(time, lines, stream=stream)
        for _ in range(rng.choice((0, 0, 1, 2))):
            later = time + timedelta(seconds=rng.choice((1, 900, 48 * 3600, 48 * 3600 + 1, rng.randrange(60 * 3600))))
            land(later, _some(rng, later, lines), stream=stream)
        if rng.random() < 0.2:
            land(time, [_repair(rng, original, len(lines)) for _ in range(2)], original.late, root="streaming-repaired")
    landed.append(Landed(f"streaming/{edge:%Y/%m}/notes-{new_id(rng)}.txt", b"odd\n", edge, timedelta()))
    return sorted(landed, key=lambda one: one.seen)


def _some(rng: Random, time: datetime, lines: list[bytes]) -> list[bytes]:
    """Some or all of a batch's lines again; perhaps one with other content under its id, perhaps new ones."""
    again = rng.sample(lines, rng.randint(1, len(lines))) + events(rng, time, rng.choice((0, 0, 2)))
    if rng.random() < 0.2:
        again[0] = again[0].replace(b'"Utah"', b'"Iowa"')
    return again


def _repair(rng: Random, original: Landed, lines: int) -> bytes:
    """A line that supersedes one of the original's."""
    superseded = {"source_file": original.key, "source_line": rng.randint(1, lines)}
    return json.dumps({"supersedes": superseded, "event": event(rng, original.time)}).encode()
