"""The helpers, which may stand between double braces in a template, and how their values are drawn.

A helper draws values for many events at once: ``draw(times, rng)`` takes the events' times (epoch seconds) and the
helper's own random generator, and returns one value for each event. So the values do not depend on how many are drawn
at a time. Names and meaning are those of the Kinesis Data Generator and of faker.js, on which it is built.
"""

from __future__ import annotations

import calendar
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from random import Random
from typing import Any
from uuid import UUID

Draw = Callable[[Sequence[float], Random], Sequence[object]]

STATES = (
    "Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut", "Delaware", "Florida",
    "Georgia", "Hawaii", "Idaho", "Illinois", "Indiana", "Iowa", "Kansas", "Kentucky", "Louisiana", "Maine", "Maryland",
    "Massachusetts", "Michigan", "Minnesota", "Mississippi", "Missouri", "Montana", "Nebraska", "Nevada",
    "New Hampshire", "New Jersey", "New Mexico", "New York", "North Carolina", "North Dakota", "Ohio", "Oklahoma",
    "Oregon", "Pennsylvania", "Rhode Island", "South Carolina", "South Dakota", "Tennessee", "Texas", "Utah", "Vermont",
    "Virginia", "Washington", "West Virginia", "Wisconsin", "Wyoming",
)  # fmt: skip

_MOMENT = re.compile(
    r"\[([^\]]*)\]|YYYY|YY|M{1,4}|Do|DDDD|D{1,2}|d{3,4}|H{1,2}|h{1,2}|m{1,2}|s{1,2}|S{1,3}|A|a|ZZ|Z|X|x|[A-Za-z]"
)


class ArgumentError(ValueError):
    """A helper got an argument that it cannot use."""


def now(argument: Any, zone: tzinfo | None) -> Draw:
    """``date.now``, ``date.now("<moment.js format>")``: the event's time in ``zone`` (None: this machine's)."""
    if argument is None:
        # moment().format(): seconds and offset, and "Z" only where the zone is UTC by name
        return _formatted(lambda moment: moment.isoformat(timespec="seconds"), zone)
    return _formatted(_moment_format(argument), zone)


def utc(argument: Any, _zone: tzinfo | None) -> Draw:
    """``date.utc``, ``date.utc("<moment.js format>")``: the event's time in UTC."""
    if argument is None:
        return _formatted(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"), UTC)
    return _formatted(_moment_format(argument), UTC)


def _formatted(form: Callable[[datetime], str], zone: tzinfo | None) -> Draw:
    @lru_cache(maxsize=4096)
    def text(time: float) -> str:
        return form(datetime.fromtimestamp(time, UTC).astimezone(zone))

    return lambda times, _rng: [text(time) for time in times]


def _moment_format(pattern: Any) -> Callable[[datetime], str]:
    """Compile a moment.js format; raises ArgumentError naming a token that is not known."""
    if not isinstance(pattern, str):
        raise ArgumentError(f"a format must be a text, not {pattern!r}")
    pieces: list[Callable[[datetime], str]] = []
    end = 0
    for token in _MOMENT.finditer(pattern):
        pieces.append(_constant(pattern[end : token.start()]))
        end = token.end()
        if token[0].startswith("["):
            pieces.append(_constant(token[1]))
        elif token[0] in _TOKENS:
            pieces.append(_TOKENS[token[0]])
        else:
            raise ArgumentError(f"unknown token {token[0]!r} in the format {pattern!r}")
    pieces.append(_constant(pattern[end:]))
    return lambda moment: "".join(piece(moment) for piece in pieces)


def _constant(text: str) -> Callable[[datetime], str]:
    return lambda _moment: text


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _offset(moment: datetime, separator: str) -> str:
    digits = moment.strftime("%z")
    return f"{digits[:3]}{separator}{digits[3:5]}"


_TOKENS: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda m: f"{m.year:04d}",
    "YY": lambda m: f"{m.year % 100:02d}",
    "M": lambda m: str(m.month),
    "MM": lambda m: f"{m.month:02d}",
    "MMM": lambda m: calendar.month_abbr[m.month],
    "MMMM": lambda m: calendar.month_name[m.month],
    "D": lambda m: str(m.day),
    "DD": lambda m: f"{m.day:02d}",
    "Do": lambda m: _ordinal(m.day),
    "DDDD": lambda m: f"{m.timetuple().tm_yday:03d}",
    "ddd": lambda m: calendar.day_abbr[m.weekday()],
    "dddd": lambda m: calendar.day_name[m.weekday()],
    "H": lambda m: str(m.hour),
    "HH": lambda m: f"{m.hour:02d}",
    "h": lambda m: str(m.hour % 12 or 12),
    "hh": lambda m: f"{m.hour % 12 or 12:02d}",
    "m": lambda m: str(m.minute),
    "mm": lambda m: f"{m.minute:02d}",
    "s": lambda m: str(m.second),
    "ss": lambda m: f"{m.second:02d}",
    "S": lambda m: str(m.microsecond // 100_000),
    "SS": lambda m: f"{m.microsecond // 10_000:02d}",
    "SSS": lambda m: f"{m.microsecond // 1_000:03d}",
    "A": lambda m: "AM" if m.hour < 12 else "PM",
    "a": lambda m: "am" if m.hour < 12 else "pm",
    "Z": lambda m: _offset(m, ":"),
    "ZZ": lambda m: _offset(m, ""),
    "X": lambda m: str(int(m.timestamp())),
    "x": lambda m: str(int(m.timestamp() * 1000)),
}


def number(argument: Any, _zone: tzinfo | None) -> Draw:
    """``random.number``, ``random.number(max)``, ``random.number({min, max, precision})``; both ends included."""
    options = {"max": argument} if isinstance(argument, int | float) else argument or {}
    if not isinstance(options, dict) or not options.keys() <= {"min", "max", "precision"}:
        raise ArgumentError(f"give a maximum or an object of min, max and precision, not {argument!r}")
    low, high, step = options.get("min", 0), options.get("max", 99999), options.get("precision", 1)
    if not all(isinstance(value, int | float) for value in (low, high, step)) or step <= 0 or low > high:
        raise ArgumentError(f"min, max and precision must be numbers, min <= max, precision > 0, not {argument!r}")
    count = int((high - low) / step + 1e-9) + 1
    if isinstance(low, int) and step == 1:
        return _uniform(range(low, low + count))
    digits = max(0, len(str(step).partition(".")[2]))
    return lambda times, rng: [round(low + rng.randrange(count) * step, digits) for _ in times]


def array_element(argument: Any, _zone: tzinfo | None) -> Draw:
    """``random.arrayElement([...])``: one of them."""
    if not isinstance(argument, list) or not argument:
        raise ArgumentError(f"give an array with at least one element, not {argument!r}")
    return _uniform(_texts(argument))


def weighted_array_element(argument: Any, _zone: tzinfo | None) -> Draw:
    """``random.weightedArrayElement({"weights": [...], "data": [...]})``."""
    if not isinstance(argument, dict) or argument.keys() != {"weights", "data"}:
        raise ArgumentError(f'give an object of "weights" and "data", not {argument!r}')
    weights, data = argument["weights"], _texts(argument["data"])
    if len(weights) != len(data) or not data or min(weights) < 0 or sum(weights) <= 0:
        raise ArgumentError(f"there must be as many weights as data, none negative and not all 0: {argument!r}")
    cumulative = [sum(weights[: i + 1]) for i in range(len(weights))]
    return lambda times, rng: rng.choices(data, cum_weights=cumulative, k=len(times))


def boolean(_argument: Any, _zone: tzinfo | None) -> Draw:
    """``random.boolean``."""
    return _uniform(("true", "false"))


def random_uuid(_argument: Any, _zone: tzinfo | None) -> Draw:
    """``random.uuid``: version 4."""
    return lambda times, rng: [str(UUID(int=rng.getrandbits(128), version=4)) for _ in times]


def ip(_argument: Any, _zone: tzinfo | None) -> Draw:
    """``internet.ip``."""
    return lambda times, rng: [".".join(map(str, rng.getrandbits(32).to_bytes(4, "big"))) for _ in times]


def state(_argument: Any, _zone: tzinfo | None) -> Draw:
    """``address.state``: one of the 50 states of the USA."""
    return _uniform(STATES)


def _uniform(population: Sequence[object]) -> Draw:
    return lambda times, rng: rng.choices(population, k=len(times))


def _texts(data: list[Any]) -> list[str]:
    """Values as the Kinesis Data Generator writes them: texts without quotes, all others as JSON."""
    return [value if isinstance(value, str) else json.dumps(value) for value in data]


HELPERS: dict[str, Callable[[Any, tzinfo | None], Draw]] = {
    "date.now": now,
    "date.utc": utc,
    "random.number": number,
    "random.arrayElement": array_element,
    "random.weightedArrayElement": weighted_array_element,
    "random.boolean": boolean,
    "random.uuid": random_uuid,
    "internet.ip": ip,
    "address.state": state,
}
