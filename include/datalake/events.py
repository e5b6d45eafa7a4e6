"""Parses a landed object: every line that is not blank is an event, or is rejected for one reason.

Events have the partners' format: ``timestamp`` (ISO-8601 with offset), ``eventtype``, ``film_id``, ``distributor``,
``platform``, ``state``, and optionally ``event_id`` (UUID). The case of field names does not matter. Any text is a
valid distributor or platform, as partners add new ones. Unknown fields are reported as drift and are never an error.

A line of a repair is ``{"supersedes": {"source_file": KEY, "source_line": N}, "event": {...}}``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from datalake.landing import LandedObject, parse_key

EVENT_TYPES = frozenset({"rent", "buy", "trailer"})
# How far an event's time may lie from the time in its object's name. It is not compared with the clock, so that a
# rebuild judges a line as the first run did.
TOO_EARLY = timedelta(days=400)
TOO_LATE = timedelta(hours=1)
# Firehose takes records of at most 1,000 KiB (Firehose quotas), so a longer line cannot be one record.
MAX_LINE_BYTES = 1_024_000
OVERLONG_KEPT_BYTES = 65_536
# Levels of nested arrays and objects, including the record itself. Python's own limit depends on how deep the calling
# code is, so that the same line could be judged in two ways.
MAX_NESTING = 100

OBJECT_NAME = "object name"
OVERLONG = "line too long"
NOT_UTF8 = "not UTF-8"
NOT_JSON = "not JSON"
NOT_AN_OBJECT = "not a JSON object"
DUPLICATE_KEY = "duplicate key"
MISSING = "missing field: {}"
IMPOSSIBLE = "impossible value: {}"
EARLY = "too early"
LATE = "too late"
# Reasons that only a comparison with other lines can find
DUPLICATE = "duplicate"
CONFLICT = "conflicting event_id"
SUPERSEDED = "superseded"
REPAIRED_TWICE = "already repaired"
REPAIRS_NOTHING = "repairs no landed line"
NOT_WRONG = frozenset({DUPLICATE, SUPERSEDED, REPAIRED_TWICE})  # these do not mean that the line is bad

UTF8, BASE64, BASE64_START = "utf-8", "base64", "base64-start"

_MAX_INT = 2**31 - 1
_TEXT_FIELDS = ("distributor", "platform", "state")
_REQUIRED = ("timestamp", "eventtype", "film_id", *_TEXT_FIELDS)
_KNOWN = frozenset({*_REQUIRED, "event_id"})
# Every reason for which a landed line is bad and can be repaired. A line of an object whose name has no time cannot, as
# the time of its repair would be unknown.
REPAIRABLE = (
    *(OVERLONG, NOT_UTF8, NOT_JSON, NOT_AN_OBJECT, DUPLICATE_KEY),
    *(MISSING.format(field) for field in _REQUIRED),
    *(IMPOSSIBLE.format(field) for field in (*_REQUIRED, "event_id")),
    *(EARLY, LATE, CONFLICT),
)
_ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-5][0-9])"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BRACKET_OR_TEXT = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"')
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Supersedes(NamedTuple):
    """The landed line that a repair replaces."""

    source_file: str
    source_line: int


class Event(NamedTuple):
    """One well-formed event."""

    timestamp: str  # as written
    eventtype: str
    film_id: int
    distributor: str
    platform: str
    state: str
    event_id: str | None  # lower case
    event_time: str  # UTC, yyyy-MM-ddTHH:mm:ssZ
    unknown_fields: tuple[str, ...]  # lower case
    supersedes: Supersedes | None


class Rejection(NamedTuple):
    """Why a line is not an event. There are few different reasons, so that they can be counted."""

    reason: str


class Line(NamedTuple):
    """One line that is not blank."""

    source_line: int  # 1-based; blank lines count
    raw: bytes  # without its \n
    outcome: Event | Rejection


class _RejectedError(Exception):
    """Carries the reason."""


class _Clash:
    """Stands for a JSON object with two keys that differ at most in their case."""


def split_lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    r"""Split at \n only; yield each line that is not blank with its 1-based number."""
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            yield number, line


def parse_object(key: str, body: bytes) -> Iterator[Line]:
    """Yield every line of a landed object that is not blank, once and in order. No input makes it fail."""
    parser = LineParser(parse_key(key))
    for number, line in split_lines(body):
        yield Line(number, line, parser.parse(line))


def quarantine_text(line: bytes) -> tuple[str, str]:
    """The columns ``raw`` and ``raw_encoding`` of a rejected line.

    utf-8: the line itself; base64: the bytes of a line that is not UTF-8; base64-start: the first 64 KiB of a line that
    is too long, and that only the landing zone holds whole.
    """
    if len(line) > MAX_LINE_BYTES:
        return base64.b64encode(line[:OVERLONG_KEPT_BYTES]).decode(), BASE64_START
    try:
        return line.decode("utf-8"), UTF8
    except UnicodeDecodeError:
        return base64.b64encode(line).decode(), BASE64


class LineParser:
    """Parses the lines of one object; remembers the timestamps that it has already parsed."""

    def __init__(self, landed: LandedObject) -> None:
        self._landed = landed
        self._times: dict[str, str] = {}
        if landed.time:
            # Keep the limits within the range of datetime, also for a name of year 1 or 9999.
            self._latest = landed.time + min(TOO_LATE, datetime.max.replace(tzinfo=UTC) - landed.time)
            self._earliest = landed.time - min(TOO_EARLY, landed.time - datetime.min.replace(tzinfo=UTC))

    def parse(self, line: bytes) -> Event | Rejection:
        """Parse one line that is not blank; no input makes it fail."""
        try:
            if not self._landed.time:
                return Rejection(OBJECT_NAME)
            fields = _json_object(line)
            if self._landed.is_repair:
                return self._repair(fields)
            return self._event(fields, None)
        except _RejectedError as rejected:
            return Rejection(str(rejected))

    def _event(self, fields: dict[str, Any], supersedes: Supersedes | None) -> Event:
        timestamp = _text(fields, "timestamp")
        event_time = self._times.get(timestamp)
        if event_time is None:
            event_time = self._times[timestamp] = self._event_time(timestamp)
        eventtype = _text(fields, "eventtype")
        if eventtype not in EVENT_TYPES:
            raise _RejectedError(IMPOSSIBLE.format("eventtype"))
        film_id = fields.get("film_id")
        if film_id is None:
            raise _RejectedError(MISSING.format("film_id"))
        if type(film_id) is not int or not 1 <= film_id <= _MAX_INT:  # a bool is an int, too
            raise _RejectedError(IMPOSSIBLE.format("film_id"))
        distributor, platform, state = (_text(fields, name) for name in _TEXT_FIELDS)
        event_id = fields.get("event_id")
        if event_id is not None:
            if not isinstance(event_id, str) or not _UUID.fullmatch(event_id):
                raise _RejectedError(IMPOSSIBLE.format("event_id"))
            event_id = event_id.lower()
        unknown = () if fields.keys() <= _KNOWN else tuple(sorted(map(_printable, fields.keys() - _KNOWN)))
        return Event(
            timestamp, eventtype, film_id, distributor, platform, state, event_id, event_time, unknown, supersedes
        )

    def _event_time(self, timestamp: str) -> str:
        if not _ISO_8601.fullmatch(timestamp):
            raise _RejectedError(IMPOSSIBLE.format("timestamp"))
        try:
            time = datetime.fromisoformat(timestamp)
        except ValueError as error:  # the 30th of February, an offset of 25 hours
            raise _RejectedError(IMPOSSIBLE.format("timestamp")) from error
        if time > self._latest:
            raise _RejectedError(LATE)
        if time < self._earliest:
            raise _RejectedError(EARLY)
        return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _repair(self, fields: dict[str, Any]) -> Event:
        """A repair has the month and time of the line that it repairs, so that its event is judged as that line was."""
        line, event = fields.get("supersedes"), fields.get("event")
        if not isinstance(line, dict):
            raise _RejectedError(MISSING.format("supersedes"))
        if not isinstance(event, dict):
            raise _RejectedError(MISSING.format("event"))
        key, number = line.get("source_file"), line.get("source_line")
        if not isinstance(key, str) or type(number) is not int or not 1 <= number <= _MAX_INT:
            raise _RejectedError(IMPOSSIBLE.format("supersedes"))
        superseded = parse_key(key)
        elsewhere = (superseded.month, superseded.time) != (self._landed.month, self._landed.time)
        if elsewhere or key == self._landed.key:
            raise _RejectedError(IMPOSSIBLE.format("supersedes"))
        return self._event(event, Supersedes(key, number))


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Clash:
    fields = {name.lower(): value for name, value in pairs}
    return fields if len(fields) == len(pairs) else _Clash()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODE = json.JSONDecoder(object_pairs_hook=_fields, parse_constant=_no_constant).decode


def _json_object(line: bytes) -> dict[str, Any]:
    """The line's fields by lower-case name; raises _RejectedError for anything but one JSON object."""
    if len(line) > MAX_LINE_BYTES:
        raise _RejectedError(OVERLONG)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _RejectedError(NOT_UTF8) from error
    if text.count("[") + text.count("{") > MAX_NESTING and _nesting(text) > MAX_NESTING:
        raise _RejectedError(NOT_JSON)
    try:
        fields = _DECODE(text)
    except ValueError as error:  # including two records in one line, half a record, a number of 5000 digits
        raise _RejectedError(NOT_JSON) from error
    if isinstance(fields, _Clash):
        raise _RejectedError(DUPLICATE_KEY)
    if not isinstance(fields, dict):
        raise _RejectedError(NOT_AN_OBJECT)
    return fields


def _nesting(text: str) -> int:
    """How deeply brackets are nested, not counting those inside strings."""
    deepest = depth = 0
    for mark in _BRACKET_OR_TEXT.findall(text):
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    return deepest


def _text(fields: dict[str, Any], name: str) -> str:
    """A field's text, which must not be blank and must be valid Unicode (JSON can escape half a surrogate pair)."""
    value = fields.get(name)
    if value is None:
        raise _RejectedError(MISSING.format(name))
    if not isinstance(value, str) or not value.strip() or (not value.isascii() and _SURROGATE.search(value)):
        raise _RejectedError(IMPOSSIBLE.format(name))
    return value


def _printable(name: str) -> str:
    """A field's name as it may stand in a report."""
    return name[:100].encode("unicode_escape").decode()
