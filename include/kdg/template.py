"""Compiles a template of the Kinesis Data Generator: JSON with ``{{helper}}`` or ``{{helper(argument)}}`` in it.

It is read as the Kinesis Data Generator reads it (getCleanedTemplate in producer.js, fake in its faker.js): line breaks
do not count, a helper ends at the first ``}}``, of its name only the first two parts matter, and an argument that is no
JSON is a text. A template must be a JSON object, as the lake's events are JSON lines. White space between JSON's tokens
is removed, so that an event is one line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from random import Random
from typing import Any

from kdg.helpers import HELPERS, REFUSED, Draw
from kdg.javascript import ArgumentError, parse

EVENTS = Path(__file__).parent / "events.template.json"  # the partners' standard event
ID_FIELD = "event_id"
_SAMPLES = 200

_HELPER = re.compile(r"\{\n*\{(.*?)\}\n*\}", re.DOTALL)
_PLACE = "\0"  # marks the place of a helper's value, as JSON text cannot contain it
_STRING_OR_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')


class TemplateError(ValueError):
    """A template that cannot be used; the message names file, line, column and what was expected."""


class _Fault(Exception):
    """What is wrong at a position of the template's text."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class Template:
    """A compiled template. ``row`` is an event as a %-format, with places for each of ``draws`` and for the id."""

    row: str
    draws: tuple[Draw, ...]
    fields: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, zone: tzinfo | None = None) -> Template:
        """Read a template file; raises OSError or TemplateError."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise TemplateError(f"{path}: byte {error.start + 1} is not UTF-8; save the template as UTF-8") from error
        return cls.parse(text, zone, name=str(path))

    @classmethod
    def parse(cls, text: str, zone: tzinfo | None = None, *, name: str = "template") -> Template:
        """Compile a template. ``zone`` is the time zone of ``date.now`` (None: this machine's), ``name`` the file's."""
        try:
            return cls._compile(text, zone)
        except _Fault as fault:
            before = text[: fault.position]
            line, column = before.count("\n") + 1, fault.position - before.rfind("\n")
            raise TemplateError(f"{name}, line {line}, column {column}: {fault}") from fault

    @classmethod
    def _compile(cls, text: str, zone: tzinfo | None) -> Template:
        if _PLACE in text:
            raise _Fault(text.index(_PLACE), "a NUL character is not allowed")
        pieces, draws = _scan(text, zone)
        fields = _fields(pieces, draws)
        if ID_FIELD in fields:
            position = max(text.find(f'"{ID_FIELD}"'), 0)
            raise _Fault(position, f"the template has a field {ID_FIELD}, which the generator adds itself: remove it")
        literal = _PLACE.join(piece for _, piece in pieces).replace("\n", "")
        line = _STRING_OR_SPACE.sub(lambda match: match[1] or "", literal)
        body = line[:-1].replace("%", "%%").replace(_PLACE, "%s")
        comma = "" if body == "{" else ","
        return cls(f'{body}{comma}"{ID_FIELD}":"%s"}}\n', tuple(draws), fields)


def _scan(text: str, zone: tzinfo | None) -> tuple[list[tuple[int, str]], list[Draw]]:
    """The texts around the helpers, each with its position, and the helpers."""
    pieces: list[tuple[int, str]] = []
    draws: list[Draw] = []
    end = 0
    for match in _HELPER.finditer(text):
        pieces.append((end, text[end : match.start()]))
        end = match.end()
        name, argument = _call(match[1], match.start(1))
        if name not in HELPERS:
            raise _Fault(match.start(), _unknown(name))
        try:
            draws.append(HELPERS[name](argument, zone))
        except ArgumentError as error:
            raise _Fault(match.start(), f"{name}: {error}; found {' '.join(match[0].split())[:80]}") from error
    if "{{" in text[end:]:
        raise _Fault(text.index("{{", end), "a helper starts here, but no }} closes it")
    return [*pieces, (end, text[end:])], draws


def _call(inside: str, position: int) -> tuple[str, Any]:
    """Name and argument of what stands between the braces; the argument is None where there is none."""
    start, end = inside.find("("), inside.rfind(")")
    argument = None
    if start >= 0:
        if end < start:
            raise _Fault(position + start, "this parenthesis is not closed before the }} that ends the helper")
        argument, end = _argument(inside, start, end, position)
        inside = inside[:start] + inside[end + 1 :]
    module, _, method = inside.strip().partition(".")
    return f"{module.strip()}.{method.partition('.')[0].strip()}".removesuffix("."), argument


def _argument(inside: str, start: int, end: int, position: int) -> tuple[Any, int]:
    """The argument, and where its parenthesis closes: JSON up to the last one, or else what stands before the first."""
    first = inside.index(")", start)
    faults = []
    for close in (end, first):
        try:
            argument = parse(inside[start + 1 : close].replace("\n", ""))
            return None if argument == "" else argument, close
        except json.JSONDecodeError as error:
            faults.append(error)
    given = inside[start + 1 : first].replace("\n", "")
    if given.lstrip()[:1] in ("[", "{"):
        places = [start + 1 + i for i, symbol in enumerate(inside[start + 1 :]) if symbol != "\n"]
        place = places[faults[0].pos]
        hint = "; texts need double quotes" if inside[place] == "'" else ""
        raise _Fault(position + place, f"the argument is not JSON ({faults[0].msg}{hint})")
    return given if given.strip() else None, first


def _unknown(name: str) -> str:
    if name in REFUSED:
        return f"{name} is not supported: {REFUSED[name]}"
    family = name.partition(".")[0]
    known = [helper for helper in HELPERS if helper.startswith(f"{family}.")]
    known = known or sorted({helper.partition(".")[0] for helper in HELPERS})
    return f"unknown helper {name!r}, which the Kinesis Data Generator does not have either (known: {', '.join(known)})"


def _fields(pieces: list[tuple[int, str]], draws: list[Draw]) -> tuple[str, ...]:
    """Names of the event's fields; raises _Fault unless samples are JSON objects."""
    texts = [text.replace("\n", " ") for _, text in pieces]
    if not texts[0].lstrip().startswith("{"):
        position = len(texts[0]) - len(texts[0].lstrip())
        raise _Fault(position, 'the template must be a JSON object, {"field": ...}, as the lake takes JSON lines only')
    columns = [[str(value) for value in draw([0.0] * _SAMPLES, Random(i))] for i, draw in enumerate(draws)]  # noqa: S311
    fields: tuple[str, ...] = ()
    for values in zip(*columns, strict=True) if columns else iter([()]):
        sample = "".join([text + value for text, value in zip(texts, [*values, ""], strict=True)])
        try:
            fields = tuple(parse(sample))
        except json.JSONDecodeError as error:
            raise _Fault(_origin(pieces, values, error.pos), _no_json(error, sample)) from error
    return fields


def _no_json(error: json.JSONDecodeError, sample: str) -> str:
    near = f"{sample[max(error.pos - 20, 0) : error.pos]}<here>{sample[error.pos : error.pos + 30]}"
    hints = {
        "Extra data": "a template is one JSON object",
        "Expecting value": "a text needs double quotes around it",
        "Expecting ',' delimiter": "a value that has double quotes itself needs none around it",
    }
    hint = f"; {hints[error.msg]}" if error.msg in hints else ""
    return f"the event would be no JSON ({error.msg}{hint}): {near.strip()}"


def _origin(pieces: list[tuple[int, str]], values: tuple[str, ...], position: int) -> int:
    """Where in the template a position of a sample comes from; a value comes from its helper's braces."""
    for (start, text), value in zip(pieces, [*values, ""], strict=True):
        if position < len(text):
            return start + position
        position -= len(text)
        if position < len(value):
            return start + len(text)
        position -= len(value)
    return pieces[-1][0] + len(pieces[-1][1])
