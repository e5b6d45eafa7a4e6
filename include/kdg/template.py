"""Compiles a template of the Kinesis Data Generator: JSON with ``{{helper}}`` or ``{{helper(argument)}}`` in it.

A template must be a JSON object, as the lake's events are JSON lines. White space between JSON's tokens is removed, so
that an event is one line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from random import Random

from kdg.helpers import HELPERS, ArgumentError, Draw

EVENTS = Path(__file__).parent / "events.template.json"  # the partners' standard event
ID_FIELD = "event_id"
_SAMPLES = 200

_HELPER = re.compile(r"\s*([\w.]+)\s*(\()?\s*")
_BRACKET = re.compile(r"\s*\)")
_CLOSE = re.compile(r"\s*\}\}")
_PLACE = "\0"  # marks the place of a helper's value, as JSON text cannot contain it
_STRING_OR_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')


class TemplateError(ValueError):
    """A template that cannot be used; the message names line and helper."""


@dataclass(frozen=True)
class Template:
    """A compiled template. ``row`` is an event as a %-format, with places for each of ``draws`` and for the id."""

    row: str
    draws: tuple[Draw, ...]
    fields: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, zone: tzinfo | None = None) -> Template:
        """Read a template file; raises OSError or TemplateError."""
        return cls.parse(path.read_text(encoding="utf-8"), zone)

    @classmethod
    def parse(cls, text: str, zone: tzinfo | None = None) -> Template:
        """Compile a template. ``zone`` is the time zone of ``date.now``; None is this machine's."""
        if _PLACE in text:
            raise TemplateError(
                f"line {text.count(chr(10), 0, text.index(_PLACE)) + 1}: a NUL character is not allowed"
            )
        literal, draws = _scan(text, zone)
        line = _STRING_OR_SPACE.sub(lambda match: match[1] or "", literal)
        if not line.endswith("}"):
            raise TemplateError("the template is not a JSON object, as events must be")
        body = line[:-1].replace("%", "%%").replace(_PLACE, "%s")
        comma = "" if body == "{" else ","
        return cls(f'{body}{comma}"{ID_FIELD}":"%s"}}\n', tuple(draws), _fields(line, draws))


def _scan(text: str, zone: tzinfo | None) -> tuple[str, list[Draw]]:
    """The text with a mark for each helper, and the helpers."""
    pieces: list[str] = []
    draws: list[Draw] = []
    end = 0
    while (start := text.find("{{", end)) >= 0:
        pieces.append(text[end:start])
        where = f"line {text.count(chr(10), 0, start) + 1}"
        draw, end = _helper(text, start + 2, where, zone)
        draws.append(draw)
    pieces.append(text[end:])
    return _PLACE.join(pieces), draws


def _helper(text: str, position: int, where: str, zone: tzinfo | None) -> tuple[Draw, int]:
    """The helper after the opening braces at ``position``, and the position after its closing braces."""
    head = _HELPER.match(text, position)
    if not head or head[1] not in HELPERS:
        raise TemplateError(f"{where}: unknown helper {_word(text, position)!r} (known: {', '.join(sorted(HELPERS))})")
    name, position = head[1], head.end()
    argument = None
    if head[2]:
        if text[position : position + 1] != ")":
            try:
                argument, position = json.JSONDecoder().raw_decode(text, position)
            except json.JSONDecodeError as error:
                raise TemplateError(f"{where}: the argument of {name} is not JSON: {error.msg}") from error
        bracket = _BRACKET.match(text, position)
        if not bracket:
            raise TemplateError(f"{where}: {name} lacks its closing parenthesis")
        position = bracket.end()
    close = _CLOSE.match(text, position)
    if not close:
        raise TemplateError(f"{where}: {name} is not closed by }}}}")
    try:
        return HELPERS[name](argument, zone), close.end()
    except ArgumentError as error:
        raise TemplateError(f"{where}: {name}: {error}") from error


def _word(text: str, position: int) -> str:
    """The text where a helper's name is expected."""
    return re.split(r"[\s({}]", text[position:].lstrip(), maxsplit=1)[0]


def _fields(line: str, draws: list[Draw]) -> tuple[str, ...]:
    """Names of the event's fields; raises TemplateError unless samples are JSON objects without an id of their own."""
    form = line.replace("%", "%%").replace(_PLACE, "%s")
    columns = [draw([0.0] * _SAMPLES, Random(i)) for i, draw in enumerate(draws)]  # noqa: S311
    rows = zip(*columns, strict=True) if columns else iter([()])
    fields: tuple[str, ...] = ()
    for row in rows:
        sample = form % row
        try:
            event = json.loads(sample)
        except json.JSONDecodeError as error:
            raise TemplateError(f"the template does not give JSON ({error.msg}): {sample[:200]}") from error
        if not isinstance(event, dict):
            raise TemplateError("the template is not a JSON object, as events must be")
        fields = tuple(event)
    if ID_FIELD in fields:
        raise TemplateError(f"the template has a field {ID_FIELD}, which the generator adds itself")
    return fields
