"""The JSON value that a landed line holds, or the reason why it does not hold one. See ``oracle.lines``."""

from __future__ import annotations

import json
import re
from typing import Any

# Firehose's limit for a record, and the longest line that is kept whole, in bytes
LONGEST_LINE, LONGEST_KEPT = 1_024_000, 16_777_216
# Maximum levels of nesting; Python's own limit depends on the depth of the call stack.
DEEPEST = 100
SEVERAL = "several JSON values on one line: end each record with a newline"

_MARK = "\ufeff"
_BLANKS = f" \t\r{_MARK}"
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|"|[{}\[\]]', re.DOTALL)
_SEAM = re.compile(f"}}[{_BLANKS}]*{{")


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: its pairs in order, with duplicate keys."""


class Rejected(Exception):
    """A line is not a valid event; the text is the reason. ``values``: how many JSON values the line holds."""

    def __init__(self, reason: str, values: int = 1) -> None:
        super().__init__(reason)
        self.values = values


def written_value(line: bytes) -> Any:
    """The one JSON value of a line. A byte order mark before it is skipped; raises Rejected."""
    too_long = Rejected("line too long") if len(line) > LONGEST_LINE else None
    if too_long and len(line) > LONGEST_KEPT:
        raise too_long
    try:
        text = line.decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError:
        raise too_long or Rejected("not UTF-8") from None
    if not too_long:
        value = _value(text)
        if value is not None:
            return value[0]
    found = _objects(text)
    if len(found) > 1 and any(found):
        raise Rejected(SEVERAL, len(found))
    raise too_long or Rejected("not JSON")


def _value(text: str) -> tuple[Any] | None:
    """The text as one JSON value, in a tuple; None if it is not one, or is nested too deeply."""
    try:
        value = _JSON.decode(text)
    except (ValueError, RecursionError):
        return None
    if text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST:
        return None
    return (value,)


def _objects(text: str) -> list[bool]:
    """For a text that begins with ``{``: for each object that follows another whether it is a valid one.

    An invalid one reaches to the next ``}`` that is followed by ``{``, with or without blanks between them.
    """
    rest = text.lstrip(_BLANKS)
    found: list[bool] = []
    at = len(text) - len(rest)
    if not rest.startswith("{"):
        return [False]
    while at < len(text):
        end = _balanced(text, at)
        after = _skip(text, end)
        good = end > at and (after == len(text) or text[after] == "{") and _value(text[at:end]) is not None
        if not good:
            seam = _SEAM.search(text, at)
            after = seam.end() - 1 if seam else len(text)
        found.append(good)
        at = after
    return found


def _balanced(text: str, start: int) -> int:
    """The place behind the bracket that closes the one at ``start``; ``start`` if nothing does."""
    open_brackets = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] == '"':  # a string without an end
            return start
        open_brackets += (token[0] in "{[") - (token[0] in "}]")
        if open_brackets == 0:
            return token.end()
    return start


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _depth(value: Any) -> int:
    """Levels of objects and arrays; 0 for a plain value."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, list)]:
        depth += 1
        level = [inner for one in level for inner in ((v for _, v in one) if isinstance(one, Pairs) else one)]
    return depth


def _reject_constant(constant: str) -> None:
    raise ValueError(constant)


_JSON = json.JSONDecoder(object_pairs_hook=Pairs, parse_constant=_reject_constant)
