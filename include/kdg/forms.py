"""Helpers that make digits, letters and amounts, as the Kinesis Data Generator does; and the arguments of helpers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from random import Random
from string import ascii_letters, ascii_uppercase
from string import digits as ten_digits
from typing import Any

from kdg.javascript import ArgumentError, number_text, random_number

_MOST = 1000  # words, sentences or digits of one value; Firehose takes records up to 1,000 KiB

Fake = Callable[[Random], str]
Maker = Callable[[Any], Fake]  # takes the argument; None stands for none


def digits(rng: Random, form: str) -> str:
    """The form with a digit for each #."""
    return "".join([str(int(random_number(rng, 9))) if symbol == "#" else symbol for symbol in form])


def symbols(rng: Random, form: str) -> str:
    """The form with a digit for each # and a capital letter for each ?."""
    return "".join([rng.choices(ascii_uppercase)[0] if symbol == "?" else digits(rng, symbol) for symbol in form])


def number_or(argument: Any, default: float) -> float:
    """The argument, which must be a number, or the default where there is none."""
    if argument is None:
        return default
    if not isinstance(argument, float) or not math.isfinite(argument):
        raise ArgumentError("give one number")
    return argument


def text_or_none(argument: Any) -> str | None:
    """The argument, which must be a text; None where there is none."""
    if argument is not None and not isinstance(argument, str):
        raise ArgumentError("give a text")
    return argument or None


def counted(fake: Callable[[Random, int], str], default: int, *, least: int = 0) -> Maker:
    """A helper whose argument says how many; ``default`` where there is none, or fewer than ``least``."""

    def maker(argument: Any) -> Fake:
        count = math.ceil(number_or(argument, default))
        if count > _MOST:
            raise ArgumentError(f"give a number up to {_MOST:,}")
        return lambda rng: fake(rng, max(0, count) if count >= least else default)

    return maker


def _of_text(change: Callable[[Random, str], str]) -> Maker:
    """A helper that changes the text that it is given."""

    def maker(argument: Any) -> Fake:
        text = text_or_none(argument) or ""
        return lambda rng: change(rng, text)

    return maker


def _slug(_rng: Random, text: str) -> str:
    """Spaces become hyphens; all else but letters, digits, "_", "." and "-" is left out."""
    return re.sub(r"[^\w.-]+", "", text.replace(" ", "-"), flags=re.ASCII)


def _digit_row(length: int) -> Maker:
    return counted(lambda rng, count: digits(rng, "#" * count), length, least=1)


def _degrees(span: int) -> Maker:
    return lambda _argument: lambda rng: f"{random_number(rng, span * 10_000) / 10_000 - span / 2:.4f}"


def _amount(argument: Any) -> Fake:
    """A whole number from the argument, or 0, to 1000, written with two decimals."""
    lowest = number_or(argument, 0)
    return lambda rng: f"{random_number(rng, 1000, lowest):.2f}"


def _price(argument: Any) -> Fake:
    return (lambda _rng: "0") if number_or(argument, 0) < 0 else _amount(argument)


def _session(_argument: Any) -> Fake:
    lowest, highest = 1007199254740991, 2**53 - 1
    return lambda rng: number_text(rng.random() * (highest - lowest) + lowest)


def _password(rng: Random, length: int) -> str:
    return "".join(rng.choices(ascii_letters + ten_digits, k=length))


FORMS: dict[str, Maker] = {
    "helpers.replaceSymbolWithNumber": _of_text(digits),
    "helpers.replaceSymbols": _of_text(symbols),
    "helpers.slugify": _of_text(_slug),
    "address.latitude": _degrees(180),
    "address.longitude": _degrees(360),
    "finance.account": _digit_row(8),
    "finance.mask": _digit_row(4),
    "finance.amount": _amount,
    "commerce.price": _price,
    "internet.session": _session,
    "internet.password": counted(_password, 15, least=1),
    "system.semver": lambda _argument: lambda rng: digits(rng, "#.#.#"),
}
