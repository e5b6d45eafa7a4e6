"""Lines of a landed object: where they are, the JSON object in each, and what the quarantine keeps of a bad one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

# Firehose takes records of at most 1,000 KiB (Firehose quotas), so a longer line cannot be one record.
MAX_LINE_BYTES = 1_024_000
# The quarantine keeps the whole of a line up to this length: in base64 it has 22.4 MB, and Athena reads rows of at most
# 32 MB (Athena User Guide, "Considerations and limitations for SQL queries in Amazon Athena").
MAX_KEPT_BYTES = 16 * 2**20
OVERLONG_KEPT_BYTES = 65_536  # of a longer line
# Levels of nested arrays and objects, including the record itself. Python's own limit depends on how deep the calling
# code is, so that the same line could be judged in two ways.
MAX_NESTING = 100

OVERLONG = "line too long"
NOT_UTF8 = "not UTF-8"
NOT_JSON = "not JSON"
SEVERAL_VALUES = "several JSON values on one line: end each record with a newline"
NOT_AN_OBJECT = "not a JSON object"
DUPLICATE_KEY = "duplicate key"

UTF8, BASE64, BASE64_START = "utf-8", "base64", "base64-start"

_BOM = b"\xef\xbb\xbf"
_BRACKET_OR_TEXT = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"')
_BETWEEN_VALUES = re.compile(r"[ \t\r\ufeff]*")
_NEXT_OBJECT = re.compile(r"(?<=\})[ \t\r\ufeff]*(?=\{)")


class RejectedError(Exception):
    """Why a line is not an event: the reason, how many JSON values the line holds, and what was found instead."""

    def __init__(self, reason: str, values: int = 1, found: str = "") -> None:
        super().__init__(reason)
        self.reason, self.values, self.found = reason, values, found


class _Clash:
    """Stands for a JSON object with two keys that differ at most in their case."""


def split_lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    r"""Split at \n only; yield each line that is not blank with its 1-based number."""
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            yield number, line


def quarantine_text(line: bytes) -> tuple[str, str]:
    """The columns ``raw`` and ``raw_encoding`` of a rejected line.

    utf-8: the line itself; base64: the bytes of a line that is not UTF-8; base64-start: the first 64 KiB of a line of
    more than 16 MiB, which only the landing zone holds whole.
    """
    if len(line) > MAX_KEPT_BYTES:
        return base64.b64encode(line[:OVERLONG_KEPT_BYTES]).decode(), BASE64_START
    try:
        return line.decode("utf-8"), UTF8
    except UnicodeDecodeError:
        return base64.b64encode(line).decode(), BASE64


def json_object(line: bytes) -> dict[str, Any]:
    """The line's fields by lower-case name; a byte order mark before them is no part of the text (RFC 8259, 8.1).

    Raises RejectedError for anything but one JSON object.
    """
    if len(line) > MAX_LINE_BYTES:
        raise _overlong(line)
    text = _text(line)
    if text is None:
        raise RejectedError(NOT_UTF8)
    try:
        if text.count("[") + text.count("{") > MAX_NESTING and _nesting(text) > MAX_NESTING:
            raise ValueError
        fields = _JSON.decode(text)
    except ValueError as error:  # including several records in one line, half a record, a number of 5000 digits
        raise _not_one_value(text) from error
    if isinstance(fields, _Clash):
        raise RejectedError(DUPLICATE_KEY)
    if not isinstance(fields, dict):
        raise RejectedError(NOT_AN_OBJECT, (len(fields) or 1) if isinstance(fields, list) else 1)
    return fields


def _text(line: bytes) -> str | None:
    try:
        return line.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _overlong(line: bytes) -> RejectedError:
    """A line that cannot be one record may be many: a Firehose object without a delimiter is a single line."""
    text = _text(line) if len(line) <= MAX_KEPT_BYTES else None
    values = _count_objects(text) if text else 1
    return RejectedError(SEVERAL_VALUES, values) if values > 1 else RejectedError(OVERLONG)


def _not_one_value(text: str) -> RejectedError:
    values = _count_objects(text)
    return RejectedError(SEVERAL_VALUES, values) if values > 1 else RejectedError(NOT_JSON)


def _count_objects(text: str) -> int:
    """The number of JSON objects that follow each other; 1 for a text of another kind.

    One that is broken ends at the next ``}`` that ``{`` follows, and counts as well, if at least one other is not.
    """
    position = _space_end(text, 0)
    if not text.startswith("{", position):
        return 1
    count = whole = 0
    while position < len(text):
        end = _object_end(text, position)
        if end:
            whole += 1
        else:
            following = _NEXT_OBJECT.search(text, position + 1)
            end = following.end() if following else len(text)
        position, count = end, count + 1
    return count if whole else 1


def _object_end(text: str, start: int) -> int:
    """Where the object that begins at ``start`` and all blanks after it end; 0 if it is broken or nested too deeply."""
    try:
        _, end = _JSON.raw_decode(text, start)
    except (ValueError, RecursionError):
        return 0
    following = _space_end(text, end)
    if following < len(text) and text[following] != "{":
        return 0
    brackets = text.count("[", start, end) + text.count("{", start, end)
    return 0 if brackets > MAX_NESTING and _nesting(text[start:end]) > MAX_NESTING else following


def _space_end(text: str, start: int) -> int:
    space = _BETWEEN_VALUES.match(text, start)
    return space.end() if space else start


def _nesting(text: str) -> int:
    """How deeply brackets are nested, not counting those inside strings."""
    deepest = depth = 0
    for mark in _BRACKET_OR_TEXT.findall(text):
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    return deepest


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Clash:
    fields = {name.lower(): value for name, value in pairs}
    return fields if len(fields) == len(pairs) else _Clash()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_fields, parse_constant=_no_constant)
