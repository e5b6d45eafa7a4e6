"""The helpers, which may stand between double braces in a template, and how their values are drawn.

A helper draws values for many events at once: ``draw(times, rng)`` takes the events' times (epoch seconds) and the
helper's own random generator, and returns one value for each event. So the values do not depend on how many are drawn
at a time. Names, arguments and arithmetic are those of the Kinesis Data Generator (producer.js and its own faker.js),
its words are not; docs/generator.md says where we differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from random import Random
from string import ascii_lowercase, digits
from typing import Any

from kdg.fakes import FAKES, PRODUCTS
from kdg.forms import FORMS, Maker, number_or
from kdg.javascript import ArgumentError, number_text, random_number, text
from kdg.moment import DAYS, MONTHS, formatter

Draw = Callable[[Sequence[float], Random], Sequence[object]]

STATES = (
    "Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut", "Delaware", "Florida",
    "Georgia", "Hawaii", "Idaho", "Illinois", "Indiana", "Iowa", "Kansas", "Kentucky", "Louisiana", "Maine", "Maryland",
    "Massachusetts", "Michigan", "Minnesota", "Mississippi", "Missouri", "Montana", "Nebraska", "Nevada",
    "New Hampshire", "New Jersey", "New Mexico", "New York", "North Carolina", "North Dakota", "Ohio", "Oklahoma",
    "Oregon", "Pennsylvania", "Rhode Island", "South Carolina", "South Dakota", "Tennessee", "Texas", "Utah", "Vermont",
    "Virginia", "Washington", "West Virginia", "Wisconsin", "Wyoming",
)  # fmt: skip

VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}  # of a UUID: its two highest bits are 10
_DAY = 24 * 3600 * 1000  # milliseconds
_LONGEST_SPAN = 1000 * 365 * _DAY


def now(argument: Any, zone: tzinfo | None) -> Draw:
    """``date.now``, ``date.now("<moment.js format>")``: the event's time in ``zone`` (None: this machine's)."""
    if not argument:
        # as moment().format(): seconds, and the offset even where it is 0
        return _formatted(lambda moment: moment.isoformat(timespec="seconds"), zone)
    return _formatted(formatter(_pattern(argument), utc=False), zone)


def utc(argument: Any, _zone: tzinfo | None) -> Draw:
    """``date.utc``, ``date.utc("<moment.js format>")``: the event's time in UTC."""
    return _formatted(formatter(_pattern(argument or "YYYY-MM-DDTHH:mm:ss[Z]"), utc=True), UTC)


def _pattern(argument: Any) -> str:
    if not isinstance(argument, str):
        raise ArgumentError('give a format of moment.js, such as "YYYY-MM-DD HH:mm:ss.SSS"')
    return argument


def _formatted(form: Callable[[datetime], str], zone: tzinfo | None) -> Draw:
    @lru_cache(maxsize=4096)
    def text(time: float) -> str:
        return form(datetime.fromtimestamp(time, UTC).astimezone(zone))

    return lambda times, _rng: [text(time) for time in times]


def _shifted(direction: int, unit: int) -> Callable[[Any, tzinfo | None], Draw]:
    """A time from a second to ``argument`` units (of so many milliseconds) away, as JavaScript writes a date."""
    written = formatter("ddd MMM DD YYYY HH:mm:ss [GMT]ZZ", utc=False)

    def helper(argument: Any, zone: tzinfo | None) -> Draw:
        span = (number_or(argument, 1) or 1.0) * unit
        if not 0 < span <= _LONGEST_SPAN:
            raise ArgumentError("give a number above 0 and no longer than 1000 years")

        def one(time: float, rng: Random) -> str:
            milliseconds = math.floor(time * 1000) + direction * random_number(rng, span, 1000)
            moment = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(zone)
            name = "Coordinated Universal Time" if moment.tzname() == "UTC" else moment.tzname()
            return f"{written(moment)} ({name})"

        return lambda times, rng: [one(time, rng) for time in times]

    return helper


def _calendar_word(names: Sequence[str]) -> Callable[[Any, tzinfo | None], Draw]:
    def helper(argument: Any, _zone: tzinfo | None) -> Draw:
        short = isinstance(argument, dict) and argument.get("abbr")
        return _uniform([name[:3] for name in names] if short else names)

    return helper


def number(argument: Any, _zone: tzinfo | None) -> Draw:
    """``random.number``, ``random.number(max)``, ``random.number({min, max, precision})``; both ends included."""
    options = {"max": argument} if isinstance(argument, float) else argument or {}
    if not isinstance(options, dict):
        raise ArgumentError('give a maximum, or an object such as {"min": 1, "max": 10, "precision": 0.01}')
    low, high, step = options.get("min", 0.0), options.get("max", 99999.0), options.get("precision", 1.0)
    if not all(isinstance(value, float) and math.isfinite(value) for value in (low, high, step)) or step == 0:
        raise ArgumentError("min, max and precision must be numbers, and precision not 0")
    if not math.isfinite((high + step) / step) or not math.isfinite((high - low) / step):
        raise ArgumentError("min and max are too far apart for this precision")
    end = high + 1 if high >= 0 else high
    if step == 1 and low.is_integer() and end.is_integer() and -(2**53) < low < end < 2**53:
        return _uniform(range(int(low), int(end)))  # the same numbers with the same chances, but faster
    return lambda times, rng: [number_text(random_number(rng, high, low, step)) for _ in times]


def array_element(argument: Any, _zone: tzinfo | None) -> Draw:
    """``random.arrayElement([...])``: one of them."""
    if argument is None:
        return _uniform(("a", "b", "c"))
    if not isinstance(argument, list) or not argument:
        raise ArgumentError('give an array with at least one element, such as ["OK", "FAIL"]')
    return _uniform([text(value) for value in argument])


def shuffle(argument: Any, _zone: tzinfo | None) -> Draw:
    """``helpers.shuffle([...])``: all of them, with commas between them, in another order."""
    if argument is not None and not isinstance(argument, list):
        raise ArgumentError("give an array, such as [1, 2, 3]")
    given = [text(value) for value in (argument if argument is not None else ["a", "b", "c"])]

    def one(rng: Random) -> str:
        items = list(given)
        for i in range(len(items) - 1, 0, -1):
            j = math.floor(rng.random() * (i + 1))
            items[i - 1], items[j] = items[j], items[i - 1]
        return ",".join(items)

    return lambda times, rng: [one(rng) for _ in times]


def object_element(argument: Any, zone: tzinfo | None) -> Draw:
    """``random.objectElement({...})``: one of its values."""
    if argument is None:
        return _uniform(("bar", "car"))
    if not isinstance(argument, dict) or not argument:
        raise ArgumentError('give an object with at least one value, such as {"a": 1}')
    return array_element(list(argument.values()), zone)


def weighted_array_element(argument: Any, _zone: tzinfo | None) -> Draw:
    """``random.weightedArrayElement({"weights": [...], "data": [...]})``: data without a weight is never drawn."""
    if argument is None:
        argument = {"weights": [0.5, 0.5], "data": ["dog", "cat"]}
    weights, data = (argument.get("weights"), argument.get("data")) if isinstance(argument, dict) else (None, None)
    if not isinstance(weights, list) or not isinstance(data, list):
        raise ArgumentError('give an object such as {"weights": [0.2, 0.8], "data": ["a", "b"]}')
    if not all(isinstance(weight, float) and 0 <= weight < math.inf for weight in weights) or not sum(weights):
        raise ArgumentError("weights must be numbers, none negative and not all 0")
    if len(data) < len(weights):
        raise ArgumentError("data must have a value for each weight")
    values = [text(value) for value in data[: len(weights)]]
    cumulative = [sum(weights[: i + 1]) for i in range(len(weights))]
    return lambda times, rng: rng.choices(values, cum_weights=cumulative, k=len(times))


def random_uuid(_argument: Any, _zone: tzinfo | None) -> Draw:
    """``random.uuid``: version 4."""

    def one(rng: Random) -> str:
        h = f"{rng.getrandbits(128):032x}"
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{VARIANTS[h[16]]}{h[17:20]}-{h[20:]}"

    return lambda times, rng: [one(rng) for _ in times]


def ip(_argument: Any, _zone: tzinfo | None) -> Draw:
    """``internet.ip``."""
    return lambda times, rng: [".".join(map(str, rng.getrandbits(32).to_bytes(4, "big"))) for _ in times]


def _uniform(population: Sequence[object]) -> Draw:
    return lambda times, rng: rng.choices(population, k=len(times))


def _listed(population: Sequence[object]) -> Callable[[Any, tzinfo | None], Draw]:
    return lambda _argument, _zone: _uniform(population)


def _made(maker: Maker) -> Callable[[Any, tzinfo | None], Draw]:
    def helper(argument: Any, _zone: tzinfo | None) -> Draw:
        fake = maker(argument)
        return lambda times, rng: [fake(rng) for _ in times]

    return helper


HELPERS: dict[str, Callable[[Any, tzinfo | None], Draw]] = {
    "current.timestamp": now,  # an older form of templates, which the Kinesis Data Generator reads as date.now
    "date.now": now,
    "date.utc": utc,
    "date.simTime": now,
    "date.past": _shifted(-1, 365 * _DAY),
    "date.future": _shifted(1, 365 * _DAY),
    "date.recent": _shifted(-1, _DAY),
    "date.month": _calendar_word(MONTHS),
    "date.weekday": _calendar_word(DAYS),
    "random.number": number,
    "random.arrayElement": array_element,
    "random.objectElement": object_element,
    "random.weightedArrayElement": weighted_array_element,
    "random.boolean": _listed(("false", "true")),
    "random.uuid": random_uuid,
    "helpers.randomize": array_element,
    "helpers.shuffle": shuffle,
    "random.alphaNumeric": _listed(digits + ascii_lowercase),
    "address.state": _listed(STATES),
    "internet.ip": ip,
    "internet.protocol": _listed(("http", "https")),
    **{name: _listed(words) for name, words in PRODUCTS.items()},
    **{name: _made(maker) for name, maker in (FORMS | FAKES).items()},
}

# Helpers of the Kinesis Data Generator that are not taken over, by the reason
_REASONS = {
    "the Kinesis Data Generator writes its object as [object Object]": (
        "helpers.createCard", "helpers.contextualCard", "helpers.userCard", "helpers.createTransaction",
    ),
    "it needs two arguments, and a template can give one": ("helpers.mustache", "date.between"),
    "it gives two numbers in one text; take address.latitude and address.longitude": ("address.nearbyGPSCoordinate",),
    "it gives the addresses of real people's pictures": ("image.avatar", "internet.avatar"),
    "its pictures were on a server that is gone, lorempixel.com; write the address of a picture of yours": (
        "random.image", "image.image", "image.imageUrl", "image.abstract", "image.animals", "image.business",
        "image.cats", "image.city", "image.food", "image.nightlife", "image.fashion", "image.people", "image.nature",
        "image.sports", "image.technics", "image.transport",
    ),
    "its text has line breaks, which a JSON text must not have; lorem.paragraph and lorem.sentences have none": (
        "lorem.paragraphs", "lorem.text", "lorem.lines",
    ),
    "it gives no value in the Kinesis Data Generator either": ("system.directoryPath", "system.filePath"),
    "it gives no value of its kind in the Kinesis Data Generator, but a list, a form or one of the letters a, b, c": (
        "company.suffixes", "phone.phoneFormats", "address.streetPrefix",
    ),
    'the library Faker has no words for it; list your own: random.arrayElement(["...", "..."])': (
        "name.jobDescriptor", "name.jobArea", "name.jobType", "address.county", "company.catchPhraseAdjective",
        "company.catchPhraseDescriptor", "company.catchPhraseNoun", "company.bsAdjective", "company.bsBuzz",
        "company.bsNoun", "finance.accountName", "finance.transactionType", "finance.bitcoinAddress",
        "hacker.abbreviation", "hacker.adjective", "hacker.noun", "hacker.verb", "hacker.ingverb", "hacker.phrase",
    ),
}  # fmt: skip
REFUSED: dict[str, str] = {name: reason for reason, names in _REASONS.items() for name in names}
