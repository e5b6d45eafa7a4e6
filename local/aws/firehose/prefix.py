"""Expressions in the prefixes of S3 keys: ``!{timestamp:<Java pattern>}`` and ``!{firehose:<value>}``.

Rules from the Firehose guide, "Understand custom prefixes for Amazon S3 objects". Patterns are Java's
DateTimeFormatter: the letters y u M L d D E a H k K h m s S, text in single quotes, and every character that is not a
letter. Other letters are refused by name, among them ``YYYY``, the week-based year, often written instead of ``yyyy``.
"""

from __future__ import annotations

import calendar
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

ERROR_OUTPUT_TYPES = ("processing-failed", "format-conversion-failed")
MAX_LENGTH = 512  # characters of an evaluated prefix
DEFAULT_TIMESTAMP = "!{timestamp:yyyy/MM/dd/HH/}"  # Firehose appends it to a prefix without a time

_EXPRESSION = re.compile(r"!\{([^:{}]*):([^{}]*)\}")
_TOKEN = re.compile(r"''|'((?:[^']|'')*)'|([A-Za-z]+)|(.)", re.DOTALL)

Formatter = Callable[[datetime], str]


class PrefixError(ValueError):
    """A prefix that Firehose refuses; the message is the reason."""


def _field(letter: str, width: int) -> Formatter:
    """The formatter for a run of one pattern letter, e.g. ``MM``; raises KeyError if it is not supported."""

    def number(value: Callable[[datetime], int], longest: int = 2) -> Formatter:
        if width > longest:
            raise KeyError(letter * width)
        return lambda moment: f"{value(moment):0{width}d}"

    if letter in "yu":
        return (lambda m: f"{m.year % 100:02d}") if width == 2 else (lambda m: f"{m.year:0{width}d}")
    if letter in "ML" and width > 2:
        names = {3: calendar.month_abbr, 4: calendar.month_name}[width]
        return lambda m: names[m.month]
    if letter == "E":
        short = calendar.day_abbr
        days = {1: short, 2: short, 3: short, 4: calendar.day_name}[width]
        return lambda m: days[m.weekday()]
    if letter == "a" and width == 1:
        return lambda m: "AM" if m.hour < 12 else "PM"
    if letter == "S" and width <= 9:
        return lambda m: f"{m.microsecond:06d}000"[:width]
    return {
        "M": lambda: number(lambda m: m.month),
        "L": lambda: number(lambda m: m.month),
        "d": lambda: number(lambda m: m.day),
        "D": lambda: number(lambda m: m.timetuple().tm_yday, longest=3),
        "H": lambda: number(lambda m: m.hour),
        "k": lambda: number(lambda m: m.hour or 24),
        "K": lambda: number(lambda m: m.hour % 12),
        "h": lambda: number(lambda m: m.hour % 12 or 12),
        "m": lambda: number(lambda m: m.minute),
        "s": lambda: number(lambda m: m.second),
    }[letter]()


def compile_java_pattern(pattern: str) -> Formatter:
    """Compile a pattern of Java's DateTimeFormatter; raises PrefixError naming what is not supported."""
    pieces: list[Formatter] = []
    for token in _TOKEN.finditer(pattern):
        quoted, letters, other = token.groups()
        if letters:
            for letter, run in groupby(letters):
                width = len(list(run))
                try:
                    pieces.append(_field(letter, width))
                except KeyError:
                    raise PrefixError(
                        f"!{{timestamp:{pattern}}}: pattern {letter * width!r} is not supported"
                    ) from None
            continue
        text = "'" if token[0] == "''" else other if quoted is None else quoted.replace("''", "'")
        if quoted is None and text in "[]#'" and token[0] != "''":
            raise PrefixError(f"!{{timestamp:{pattern}}}: {text!r} is reserved in a date pattern")
        pieces.append(lambda _moment, text=text: text)  # type: ignore[misc]
    return lambda moment: "".join(piece(moment) for piece in pieces)


@dataclass(frozen=True)
class Prefix:
    """A parsed prefix. ``parts`` are literal texts, or pairs of a kind of expression and its formatter."""

    text: str
    parts: tuple[str | tuple[str, Formatter | None], ...]

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """Parse a prefix; raises PrefixError naming an expression that Firehose does not know."""
        parts: list[str | tuple[str, Formatter | None]] = []
        end = 0
        for match in _EXPRESSION.finditer(text):
            parts.append(text[end : match.start()])
            end = match.end()
            namespace, value = match.groups()
            if namespace == "timestamp":
                parts.append(("timestamp", compile_java_pattern(value)))
            elif namespace == "firehose" and value in ("random-string", "error-output-type"):
                parts.append((value, None))
            elif namespace in ("partitionKeyFromQuery", "partitionKeyFromLambda"):
                raise PrefixError(f"{match[0]} needs dynamic partitioning, which is not supported here")
            else:
                raise PrefixError(f"unknown expression {match[0]}")
        parts.append(text[end:])
        for part in parts:
            if isinstance(part, str) and "!{" in part:
                raise PrefixError(
                    f"the sequence !{{ can only appear in !{{namespace:value}} expressions, found {text!r}"
                )
        return cls(text, tuple(parts))

    def has(self, kind: str) -> bool:
        """Whether it contains an expression of this kind: timestamp, random-string, error-output-type."""
        return any(part[0] == kind for part in self.parts if not isinstance(part, str))

    @property
    def has_expressions(self) -> bool:
        """Whether it contains any expression."""
        return len(self.parts) > 1

    def evaluate(self, moment: datetime, error_output_type: str = "") -> str:
        """The prefix of one object. ``moment`` is when its oldest record arrived, in the stream's time zone."""
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
            elif part[1] is not None:
                out.append(part[1](moment))
            elif part[0] == "random-string":
                out.append(f"{secrets.token_hex(4)}-{secrets.token_hex(1)}")
            else:
                out.append(error_output_type)
        return "".join(out)


def parse_prefixes(prefix: str, error_output_prefix: str) -> Prefix:
    """Check both prefixes by AWS's rules and return that of delivered objects; raises PrefixError."""
    delivered, errors = Prefix.parse(prefix), Prefix.parse(error_output_prefix)
    if delivered.has("error-output-type"):
        raise PrefixError("Prefix cannot contain !{firehose:error-output-type}")
    if delivered.has_expressions and not error_output_prefix:
        raise PrefixError("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions")
    if errors.has_expressions and not errors.has("error-output-type"):
        raise PrefixError("ErrorOutputPrefix must contain !{firehose:error-output-type}")
    if not delivered.has("timestamp"):
        delivered = Prefix.parse(prefix + DEFAULT_TIMESTAMP)
    for name, parsed in (("Prefix", delivered), ("ErrorOutputPrefix", errors)):
        if len(parsed.evaluate(datetime.now(UTC), max(ERROR_OUTPUT_TYPES, key=len))) > MAX_LENGTH:
            raise PrefixError(f"{name} is longer than {MAX_LENGTH} characters after evaluation")
    return delivered
