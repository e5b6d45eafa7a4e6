"""Values as JavaScript, in which the Kinesis Data Generator is written, reads and writes them."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from random import Random
from typing import Any


class ArgumentError(ValueError):
    """A helper got an argument that it cannot use; the message says what it takes."""


def parse(text: str) -> Any:
    """``JSON.parse``: every number is a float, as in JavaScript. Raises json.JSONDecodeError."""
    return json.loads(text, parse_int=float, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


def text(value: Any) -> str:
    """``String(value)`` of a value that ``parse`` gave; raises ArgumentError for an object."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list):
        return ",".join("" if item is None else text(item) for item in value)
    if value is None:
        return "null"
    raise ArgumentError(
        "the Kinesis Data Generator writes an object as [object Object]: give its JSON as a text instead"
    )


def number_text(value: float) -> str:
    """A finite number's shortest digits, with an exponent only from 1e21 on and below 1e-6."""
    digits = repr(value)
    if "e" not in digits:
        return digits.removesuffix(".0").replace("-0", "0") if value == 0 else digits.removesuffix(".0")
    if 1e-6 <= abs(value) < 1e21:
        return f"{Decimal(digits):f}"
    return digits.replace("e-0", "e-")


def random_number(rng: Random, maximum: float, minimum: float = 0.0, precision: float = 1.0) -> float:
    """faker.js's ``random.number``, digit for digit: a multiple of ``precision``; a negative maximum is not reached."""
    if maximum >= 0:
        maximum += precision
    low, high = minimum / precision, maximum / precision
    return precision * math.floor(rng.random() * (high - low) + low)
